#!/bin/bash
# What upstream has this week: locks it, and opens the difference for review.
# Run it in a checkout that holds mkbuild.yaml and mkbuild.lock. What it takes from the environment:
#   CACHE_DIR  download cache                                            (mkbuild's own)
#   DIFF       file for the difference, the text of the review           (lock-diff.txt)
#   REVIEW     command that gets the file of the difference behind it, and publishes mkbuild.lock
#              for review: see github-weekly.yml                         (none: the files stay here)
# Exit status 0: done, whether there was a difference or not.
set -euo pipefail
: "${CACHE_DIR:=}" "${DIFF:=lock-diff.txt}" "${REVIEW:=}"

old=$(mktemp)
trap 'rm -f "$old"' EXIT
cp mkbuild.lock "$old"

cache=()
[ -z "$CACHE_DIR" ] || cache=(--cache-dir "$CACHE_DIR")
mkbuild lock --update --progress plain "${cache[@]}"

status=0
mkbuild diff "$old" mkbuild.lock >"$DIFF" || status=$?
case $status in
0) rm -f "$DIFF"; echo "weekly-update: nothing is new" >&2; exit 0 ;;
1) echo "weekly-update: $(wc -l <"$DIFF") lines of difference in $DIFF" >&2 ;;
*) exit $status ;;
esac
[ -z "$REVIEW" ] || $REVIEW "$DIFF"
