# SPDX-License-Identifier: BSD-3-Clause
"""Each syndrome that the mlx5 firmware model can give stands in a unit test."""
import re
import sys

import lint

SYNDROME = re.compile(r'\b0x[1-6]00[0-9a-f]{2}(?=u?\b)')
MODEL, TESTS = 'src/parents/mlx5', 'tests/unit/mlx5'


def found(root, top, start):
    paths = [p for p in lint.sources(root, tops=(top,), ends=('.c',)) if p.startswith(f'{top}/{start}')]
    return {s for p in paths for s in SYNDROME.findall(lint.read(root, p))}


def check(root):
    model = found(root, MODEL, 'model')
    if not model:
        return [f'{MODEL}/model*.c: no syndromes']
    return [f'{s}: stands in no test in {TESTS}' for s in sorted(model - found(root, TESTS, 'test_'))]


REFUSAL = {'src/parents/mlx5/model.c': 'fw_refuse(c, FW_BUSY, 0x30002u | type << 4);'}
CASES = {
    'good': ({**REFUSAL, 'tests/unit/mlx5/test_a.c': 'expect(ret, "0x30002");'}, None),
    'no test': ({**REFUSAL, 'tests/unit/mlx5/test_a.c': 'expect(ret, "0x30003");'}, '0x30002'),
    'no model': ({'tests/unit/mlx5/test_a.c': ''}, 'no syndromes'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
