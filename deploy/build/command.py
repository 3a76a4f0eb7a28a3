"""Commands of setuptools that differ: with `FORKFUL_COMPILED=1` a wheel has a library; an archive has these files."""

import os
from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist


class Wheel(bdist_wheel):
    def finalize_options(self) -> None:
        editable = self.distribution.get_command_obj("editable_wheel", create=False)
        if os.environ.get("FORKFUL_COMPILED") == "1" and editable is None:
            from library import extension  # noqa: PLC0415  # only who asks for it has mypyc

            self.distribution.ext_modules = [extension(Path("build/compiled").resolve())]
        super().finalize_options()


class Archive(sdist):
    def add_defaults(self) -> None:
        super().add_defaults()
        self.filelist.extend(map(str, Path("deploy/build").glob("*.[cp]*")))
