"""Commands of setuptools that differ: a wheel may have a library, and an archive of the source has these files."""

from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist

COMPILES = False  # `backend.build_wheel` says so: neither metadata nor an editable installation has use for a library


class Wheel(bdist_wheel):
    def finalize_options(self) -> None:
        if COMPILES:
            from library import extension  # noqa: PLC0415  # only who asks for it has mypyc

            self.distribution.ext_modules = [extension(Path("build/compiled").resolve())]
        super().finalize_options()


class Archive(sdist):
    def make_distribution(self) -> None:
        self.filelist.extend(map(str, Path("deploy/build").glob("*.[cp]*")))
        super().make_distribution()
