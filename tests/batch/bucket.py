"""A file system of Beam's in a local folder: bucket:///folder/file, as gs://."""

import glob
import os

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem

_SCHEME = "bucket://"


def _local(path):
    assert path.startswith(_SCHEME)
    return path.removeprefix(_SCHEME)


class Bucket(LocalFileSystem):
    """Knows addresses only; Beam finds it as a subclass."""

    @classmethod
    def scheme(cls):
        return "bucket"

    def split(self, path):
        folder, _, name = path.rpartition("/")
        return folder, name

    def _list(self, dir_or_prefix):
        paths = glob.glob(_local(dir_or_prefix) + "**", recursive=True)
        for path in filter(os.path.isfile, paths):
            state = os.stat(path)
            yield FileMetadata(_SCHEME + path, state.st_size, state.st_mtime)

    def has_dirs(self):
        return False

    def create(self, path, *arguments, **options):
        return super().create(_local(path), *arguments, **options)

    def open(self, path, *arguments, **options):
        return super().open(_local(path), *arguments, **options)

    def rename(self, sources, destinations):
        super().rename(*([_local(path) for path in x] for x in (sources, destinations)))

    def exists(self, path):
        return super().exists(_local(path))

    def delete(self, paths):
        super().delete([_local(path) for path in paths])
