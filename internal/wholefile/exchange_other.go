//go:build !linux

package wholefile

import "errors"

// exchange is not to be had.
func exchange(string, string) error { return errors.ErrUnsupported }
