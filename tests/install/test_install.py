#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What `make install` installs is enough to write a parent: usage: test_install.py BUILD SOURCE

Installs into a scratch folder, builds the example there with pkg-config and each compiler against nothing but that
folder, and has the installed `holdfast check` look at it.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE = (os.path.abspath(path) for path in sys.argv[1:3])
COMPILERS = [cc for cc in ('gcc', 'clang') if shutil.which(cc)]
CPP_COMPILERS = [cc for cc in ('g++', 'clang++') if shutil.which(cc)]
STRICT = ['-Wall', '-Wextra', '-Wpedantic', '-Werror']
SPEC = 'name x0 mgmtdev loopnic mac 52:54:00:12:34:56'
PARENT = re.compile(r'/include/holdfast/\w+\.h$')


def run(*args, **kwargs):
    return subprocess.run(args, capture_output=True, text=True, timeout=600, **kwargs)


def find(root, name, below=''):
    found = [os.path.join(folder, name) for folder, _, names in os.walk(root) if name in names and folder.endswith(below)]
    assert len(found) == 1, (name, found)
    return found[0]


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(prefix='hf-')
        cls.root = os.path.join(cls.scratch, 'root')
        done = run('meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', cls.root)
        assert done.returncode == 0, done.stdout + done.stderr
        cls.holdfast = find(cls.root, 'holdfast', '/bin')
        pc_folder = os.path.dirname(find(cls.root, 'holdfast.pc'))
        cls.env = {key: value for key, value in os.environ.items() if not key.startswith('HOLDFAST')}
        cls.env['PKG_CONFIG_PATH'] = pc_folder
        # With the scratch folder in the place of the prefix that was configured.
        prefix = os.path.dirname(os.path.dirname(cls.holdfast))
        cls.flags = cls.pkg_config('--cflags', '--libs', prefix=prefix)
        cls.include = next(flag[2:] for flag in cls.flags if flag.startswith('-I'))
        cls.parent_dir = cls.pkg_config('--variable=parentdir', prefix=prefix)[0]
        cls.module = cls.build('gcc' if 'gcc' in COMPILERS else COMPILERS[0], 'loopnic.c')

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.scratch)

    @classmethod
    def pkg_config(cls, *args, prefix):
        done = run('pkg-config', f'--define-variable=prefix={prefix}', *args, 'holdfast', env=cls.env)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    @classmethod
    def build(cls, cc, source, *more):
        """The example lies among the installed files, too."""
        out = os.path.join(cls.scratch, f'{cc}-{os.path.splitext(source)[0]}.so')
        done = run(cc, *STRICT, '-Wno-unused-parameter', '-O2', *more, '-o', out, find(cls.root, source),
                   *cls.flags, cwd=cls.scratch)
        assert done.returncode == 0, done.stderr
        return out

    def check(self, *args, env=None):
        return run(self.holdfast, 'check', *args, env=env or self.env, cwd=self.scratch)

    def assert_passed(self, done, least):
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr)
        passed = len(re.findall(r'^ok \d+ - (?!.*# SKIP)', done.stdout, re.M))
        self.assertGreaterEqual(passed, least)

    def test_all_is_installed(self):
        for name in ('libholdfast-preload.so', 'vdpa.h', 'parent.h', 'loopnic.c', 'holdfast.pc'):
            find(self.root, name)
        self.assertTrue(self.include.startswith(self.root), self.include)
        self.assertTrue(os.path.isdir(self.parent_dir), self.parent_dir)
        if shutil.which('scdoc'):
            find(self.root, 'holdfast-parent.7')

    def test_man_pages_cite_what_is_installed(self):
        docs = os.path.join(os.path.dirname(os.path.dirname(find(self.root, 'loopnic.c'))), 'docs')
        cited = set()
        for name in os.listdir(os.path.join(SOURCE, 'man')):
            with open(os.path.join(SOURCE, 'man', name), encoding='utf-8') as page:
                cited.update(re.findall(r'_docs/([\w/-]+\.md)_', page.read()))
        self.assertIn('spec/vhost-vdpa.md', cited)
        for name in cited:
            self.assertTrue(os.path.isfile(os.path.join(docs, name)), name)

    def header(self, compiler, language, name):
        text = f'#include <holdfast/{name}>\n#include <holdfast/{name}>\n'
        return run(compiler, *STRICT, '-x', language, f'-I{self.include}', '-M', '-', input=text,
                   cwd=self.scratch), run(compiler, *STRICT, '-x', language, f'-I{self.include}', '-fsyntax-only',
                                          '-', input=text, cwd=self.scratch)

    def test_headers_stand_alone_and_pull_nothing_private(self):
        names = sorted(os.listdir(os.path.join(self.include, 'holdfast')))
        self.assertIn('parent.h', names)
        for name in names:
            for compiler, language in [(cc, 'c') for cc in COMPILERS] + [(cc, 'c++') for cc in CPP_COMPILERS]:
                with self.subTest(name=name, compiler=compiler):
                    needs, compiles = self.header(compiler, language, name)
                    self.assertEqual(compiles.returncode, 0, compiles.stderr)
                    for path in needs.stdout.replace('\\\n', ' ').split()[1:]:
                        if path.startswith(self.root):
                            self.assertRegex(path, PARENT)
                        elif path != '-':
                            self.assertRegex(os.path.realpath(path), r'^/usr/(include|lib)')

    def test_example_is_about_a_hundred_lines(self):
        with open(find(self.root, 'loopnic.c'), encoding='utf-8') as f:
            text = re.sub(r'/\*.*?\*/|//[^\n]*', '', f.read(), flags=re.S)
        self.assertLessEqual(sum(1 for line in text.splitlines() if line.strip()), 100)

    def test_example_exports_one_name(self):
        done = run('nm', '-D', '--defined-only', self.module)
        self.assertEqual([line.split()[-1] for line in done.stdout.splitlines()], ['holdfast_module'])

    def test_example_passes_the_suite(self):
        self.assert_passed(self.check('--parent', self.module, '-d', SPEC), 600)

    def test_example_passes_with_the_other_mappings(self):
        for words in ('memory pinned mapping dma_map', 'compat_reset on'):
            with self.subTest(words=words):
                self.assert_passed(self.check('--parent', self.module, '--match', 'lifecycle.*', '-d',
                                              f'{SPEC} {words}'), 20)

    def test_example_of_each_compiler_loops(self):
        for cc in COMPILERS:
            with self.subTest(cc=cc):
                module = self.build(cc, 'loopnic.c', '-std=gnu11')
                self.assert_passed(self.check('--parent', module, '--match', 'net.*', '-d', SPEC), 8)

    def test_relative_path_and_a_client(self):
        relative = os.path.relpath(self.module, self.scratch)
        done = run(self.holdfast, 'run', '--parent', relative, '-d', SPEC, '--', self.holdfast, 'check',
                   '--default', '--match', 'net.loop.*', '/dev/vhost-vdpa-0', env=self.env, cwd=self.scratch)
        self.assert_passed(done, 4)

    def test_installed_module_is_found_by_its_name(self):
        there = os.path.join(self.parent_dir, 'loopnic.so')
        shutil.copy(self.module, there)
        try:
            self.assert_passed(self.check('--match', 'net.loop.*', '-d', SPEC), 4)
        finally:
            os.remove(there)
        done = self.check('--match', 'net.loop.*', '-d', SPEC)
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown mgmtdev 'loopnic'", done.stderr)

    def test_parent_in_cplusplus(self):
        source = os.path.join(self.scratch, 'entropy.cc')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#include <holdfast/parent.h>\n'
                    'static void process(void *, struct hf_soft *soft, uint16_t idx)\n'
                    '{\n\tstruct hf_chain c;\n\twhile (hf->soft_pop(soft, idx, &c))\n'
                    '\t\thf->soft_push(soft, idx, &c, 0);\n}\n'
                    'static int dev_add(struct hf_add *add, const struct hf_config *)\n'
                    '{\n\tstruct hf_soft_desc desc = {};\n\tdesc.size = sizeof(desc);\n\tdesc.device_id = 4;\n'
                    '\tdesc.nvqs = 1;\n\tdesc.process = process;\n'
                    '\treturn hf->soft_add(add, &desc, nullptr);\n}\n'
                    'HF_MODULE(.name = "entropy", .device_id = 4, .keys = HF_KEYS_SOFT, .stem = nullptr,\n'
                    '\t  .dev_add = dev_add);\n')
        for cc in CPP_COMPILERS:
            with self.subTest(cc=cc):
                out = os.path.join(self.scratch, cc + '.so')
                done = run(cc, '-std=c++20', *STRICT, '-o', out, source, *self.flags)
                self.assertEqual(done.returncode, 0, done.stderr)
                done = run(self.holdfast, 'run', '--parent', out, '-d', 'mgmtdev entropy', '--', 'true',
                           env=self.env)
                self.assertEqual((done.returncode, done.stderr), (0, ''))

    def assert_refused(self, done, line):
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr, line + '\n')
        self.assertEqual(done.stdout, '')

    def test_missing_file_is_refused_in_a_line(self):
        for command in (('check',), ('run',)):
            done = run(self.holdfast, *command, '--parent', './mynic.so', '-d', SPEC, '--', 'true', env=self.env,
                       cwd=self.scratch)
            self.assert_refused(done, f"holdfast {command[0]}: parent './mynic.so': No such file or directory")

    def test_file_without_entry_is_refused_in_a_line(self):
        source = os.path.join(self.scratch, 'none.c')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('int nothing;\n')
        out = source[:-1] + 'so'
        self.assertEqual(run('gcc', '-o', out, source, *self.flags).returncode, 0)
        done = run(self.holdfast, 'run', '--parent', out, '-d', SPEC, '--', 'true', env=self.env)
        self.assert_refused(done, f"holdfast run: parent '{out}' exports no holdfast_module: HF_MODULE() of "
                                  '<holdfast/parent.h> makes it')

    def test_other_version_is_refused_in_a_line(self):
        with open(find(self.root, 'loopnic.c'), encoding='utf-8') as f:
            text = f.read()
        source = os.path.join(self.scratch, 'later.c')
        with open(source, 'w', encoding='utf-8') as f:
            f.write('#include <holdfast/parent.h>\n#undef HF_ABI\n#define HF_ABI 7u\n' + text)
        out = source[:-1] + 'so'
        self.assertEqual(run('gcc', '-o', out, source, *self.flags).returncode, 0)
        done = run(self.holdfast, 'run', '--parent', out, '-d', SPEC, '--', 'true', env=self.env)
        self.assert_refused(done, f"holdfast run: parent '{out}' is built for ABI 7 of Holdfast, this one has "
                                  'ABI 1: build it again')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1], verbosity=2)
