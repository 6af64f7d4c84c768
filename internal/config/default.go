package config

import _ "embed"

// Template is the commented mkbuild.yaml that `mkbuild init` writes. It is also where the
// defaults come from, so that the two cannot differ.
//
//go:embed default.yaml
var Template []byte
