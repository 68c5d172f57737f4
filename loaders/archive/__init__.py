"""One member of a remote zip archive: found, brought, unpacked and checked."""
