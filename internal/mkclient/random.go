package mkclient

import "math/rand/v2"

// randomFloat spreads machines; nothing secret depends on it.
func randomFloat() float64 { return rand.Float64() }
