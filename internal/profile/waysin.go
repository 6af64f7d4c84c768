package profile

import "mkbuild/internal/fail"

// ErrOpen is returned if a prod image would have a way in.
var ErrOpen = fail.New(fail.Usage, "check the prod image", "leave it out, or build with --profile dev")
