//go:build !linux

package wholefile

import (
	"errors"
	"os"
)

// The following functions need Linux.

func anonymous(place) (*os.File, error) { return nil, errors.ErrUnsupported }

func link(*os.File, string) error { return errors.ErrUnsupported }

func linked(place, *os.File) (string, error) { return "", errors.ErrUnsupported }

func exchange(string, string) error { return errors.ErrUnsupported }
