# Paths that callers write. Compare them with under, never with startswith alone:
# public/../private starts with public/, too.
package lib.paths

# True if path is below prefix ("public/") in whatever way a server may read it.
under(path, prefix) if {
	is_string(path)
	is_string(prefix)
	startswith(path, prefix)
	plain(path)
}

# Nothing in it that means something else than it says: no empty, . or ..
# segment, no backslash, no percent-encoding, no control character.
plain(path) if {
	not regex.match(`[\\%\x00-\x1f\x7f-\x{9f}]`, path)
	every segment in split(trim_suffix(path, "/"), "/") {
		not segment in {"", ".", ".."}
	}
}
