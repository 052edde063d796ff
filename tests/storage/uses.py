"""Every way to use a store with an object's name; `path` is a local file."""

from storage.checksum import of_file as crc32c

USES = {
    "list": lambda store, name, path: store.list(name),
    "exists": lambda store, name, path: store.exists(name),
    "read": lambda store, name, path: store.read(name),
    "write": lambda store, name, path: store.write(name, b"x"),
    "create": lambda store, name, path: store.create(name, b"x"),
    "open_log": lambda store, name, path: store.open_log(name, b"x", lambda: None),
    "upload": lambda store, name, path: store.upload(path, name, crc32c(path)),
    "download": lambda store, name, path: store.download(name, path),
    "delete": lambda store, name, path: store.delete(name),
}
