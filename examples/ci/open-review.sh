#!/bin/bash
# Opens a pull request with the new mkbuild.lock; its text is the difference of the locks.
# Copy to .github/open-review.sh. usage: open-review.sh DIFF
set -euo pipefail
branch=lock-$(sha256sum mkbuild.lock | cut -c1-12)
git switch -c "$branch"
git -c user.name=weekly-update -c user.email=weekly-update@localhost commit -m "lock: what upstream has now" mkbuild.lock
git push --force origin "$branch"
{
  echo 'What changed upstream since the last lock:'
  echo
  sed 's/^/    /' "$1"
} >"$1.md"
gh pr create --head "$branch" --title "Update mkbuild.lock" --body-file "$1.md" || gh pr view "$branch"
