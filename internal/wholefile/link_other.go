//go:build !linux

package wholefile

import (
	"errors"
	"os"
)

// anonymous is for Linux alone.
func anonymous(place) (*os.File, error) { return nil, errors.ErrUnsupported }

func link(*os.File, string) error { return errors.ErrUnsupported }

func (p place) linked(*os.File) (string, error) { return "", errors.ErrUnsupported }

func reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
