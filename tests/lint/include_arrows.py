# SPDX-License-Identifier: BSD-3-Clause
"""Who may include whom: the table of docs/architecture.md, enforced."""
import os
import re
import sys

import lint

LOWER = {'iotlb', 'memory', 'base'}
ALLOWED = {
    'base': set(),
    'memory': {'base'},
    'iotlb': {'memory', 'base'},
    'ring': LOWER,
    'vdpa': LOWER | {'holdfast'},
    'parents': LOWER | {'vdpa', 'ring', 'holdfast'},
    'vhost_vdpa': LOWER | {'vdpa', 'holdfast'},
    'virtio_vdpa': LOWER | {'vdpa', 'holdfast'},
    'mgmt': {'vhost_vdpa', 'vdpa', 'base', 'holdfast'},
    'frontends': {'mgmt', 'vhost_vdpa', 'vdpa', 'memory', 'base', 'holdfast'},
    'client': set(),
    'check': {'client', 'base'},
    'bench': LOWER | {'client', 'ring'},
    'holdfast': set(),
}
# Single files that a room may include beyond its row.
ALSO = {'virtio_vdpa': {'src/ring/driver.h'},
        # a module's device may have its queues served by the simulator's core
        'parents/module': {'src/parents/sim/sim.h'},
        # ... and so may the port of the modelled device, with the simulated card's backends
        'parents/mlx5': {'src/parents/sim/sim.h', 'src/parents/sim/net.h'},
        # the agent runs the preload library's own wrappers, and the supervisor its filter
        'frontends/agent': {f'src/frontends/preload/{name}.h' for name in ('call', 'files', 'mask', 'node', 'path', 'raw', 'real')},
        'bench': {'src/cli/cli.h'}}  # exit statuses, and how a command goes on under the preload library
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def room_of(path):
    """parents and frontends hold a room a folder, which may not know one another."""
    parts = path.split('/')
    if parts[0] == 'include':
        return 'holdfast'
    return '/'.join(parts[1:3]) if parts[1] in ('parents', 'frontends') else parts[1]


def resolve(root, path, name):
    for folder in (os.path.dirname(path), 'src', 'include'):
        candidate = os.path.normpath(os.path.join(folder, name))
        # The build makes X from X.in.
        if any(os.path.isfile(os.path.join(root, candidate + made)) for made in ('', '.in')):
            return candidate
    return None


def may_include(path, target):
    room, other = room_of(path), room_of(target)
    kind = room.split('/')[0]
    if room == other or kind == 'cli' or target in ALSO.get(room, ALSO.get(kind, ())):
        return True
    return other in ALLOWED.get(kind, set())


def check_file(root, path):
    complaints = []
    for quote, name in INCLUDE.findall(lint.read(root, path)):
        target = resolve(root, path, name)
        if target is None:
            if quote == '"':
                complaints.append(f'{path}: "{name}" is no file of the project')
        elif not may_include(path, target):
            complaints.append(f'{path}: {room_of(path)} may not include {target}')
    return complaints


def check(root):
    complaints = []
    for path in lint.sources(root, tops=('src', 'include')):
        kind = room_of(path).split('/')[0]
        if kind not in ALLOWED and kind != 'cli':
            complaints.append(f'{path}: room {kind} has no row in the table')
        complaints += check_file(root, path)
    return complaints


CASES = {
    'downward': ({'src/base/a.h': '', 'src/memory/b.c': '#include "base/a.h"\n#include <stdio.h>\n'}, None),
    'own folder': ({'src/base/a.h': '', 'src/base/b.c': '#include "a.h"\n'}, None),
    'cli': ({'src/ring/a.h': '', 'src/cli/b.c': '#include "ring/a.h"\n'}, None),
    'upward': ({'src/memory/a.h': '', 'src/base/b.c': '#include "memory/a.h"\n'}, 'base may not include'),
    'upward by a relative path': ({'src/vdpa/a.h': '', 'src/ring/b.c': '# include "../vdpa/a.h"\n'},
                                  'ring may not include'),
    'upward in angle brackets': ({'src/vdpa/a.h': '', 'src/ring/b.c': '#include <vdpa/a.h>\n'},
                                 'ring may not include'),
    'sibling parents': ({'src/parents/sim/a.h': '', 'src/parents/x/b.c': '#include "parents/sim/a.h"\n'},
                        'parents/x may not include'),
    'frontend to parent': ({'src/parents/sim/a.h': '',
                            'src/frontends/cuse/b.c': '#include "parents/sim/a.h"\n'},
                           'frontends/cuse may not include'),
    'session to ring': ({'src/ring/a.h': '', 'src/vhost_vdpa/b.c': '#include "ring/a.h"\n'},
                        'vhost_vdpa may not include'),
    'driver side': ({'src/ring/driver.h': '', 'src/virtio_vdpa/b.c': '#include "ring/driver.h"\n'}, None),
    'device side': ({'src/ring/ring.h': '', 'src/virtio_vdpa/b.c': '#include "ring/ring.h"\n'},
                    'virtio_vdpa may not include'),
    'installed header': ({'src/vdpa/a.h': '', 'include/holdfast/b.h': '#include "vdpa/a.h"\n'},
                         'holdfast may not include'),
    'lower room to the installed API': ({'include/holdfast/a.h': '',
                                         'src/ring/b.c': '#include <holdfast/a.h>\n'},
                                        'ring may not include'),
    'lost file': ({'src/base/b.c': '#include "base/gone.h"\n'}, 'no file of the project'),
    'unknown room': ({'src/attic/b.c': '\n'}, 'no row in the table'),
}

if __name__ == '__main__':
    sys.exit(lint.main(check, CASES))
