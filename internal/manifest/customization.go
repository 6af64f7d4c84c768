package manifest

// Customization says what has been changed in an image since it was built, without a rebuild.
type Customization struct {
	// Append are the kernel arguments behind those of the build. Values that look like secrets
	// read REDACTED in a manifest.
	Append string `json:"append,omitempty"`
	// Settings are the names of the settings of mk-client that were given.
	Settings []string `json:"settings,omitempty"`
	// Extension is the SHA-256 of the image's own extension archive.
	Extension string `json:"extension,omitempty"`
	// AuthorizedKeys are the fingerprints of the keys behind those of the build.
	AuthorizedKeys []string `json:"authorized_keys,omitempty"`
	// Replaced are the files of the build in whose place others stand, as the manifest had them.
	Replaced []File `json:"replaced,omitempty"`
	// Added are the paths that the build does not have.
	Added []Text `json:"added,omitempty"`
}
