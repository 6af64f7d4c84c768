#!/bin/bash
# Tonight's image: from the lock alone, built without the network, booted, with checksums.
# Run it in a checkout that holds mkbuild.yaml and mkbuild.lock. What it takes from the environment:
#   CACHE_STORE  folder of download caches, one for each lock   (.mkbuild-cache)
#   OUT          folder of the results, emptied first           (out)
#   SIGN_KEY     secret key of the image, the boot test's too   (none: nothing is signed)
#   PUBLIC_KEY   its public key                                 (SIGN_KEY with .pub for .key)
#   BOOT_TEST    command that gets the image behind it          (mkbuild test --timeout 10m --attest SIGN_KEY)
#   REQUIRE      what has to be signed of an image to upload it (tested)
#   UPLOAD       command that gets the results behind it; only what is signed and has what REQUIRE
#                names gets there                               (none: they stay in OUT)
#   ON_DRIFT     what to do when upstream has other files now than the lock, or cannot be asked:
#                warn or fail   (warn)
# Exit status: that of the step that failed; the codes of mkbuild stand in each command's --help.
set -euo pipefail
: "${CACHE_STORE:=.mkbuild-cache}" "${OUT:=out}" "${UPLOAD:=}" "${ON_DRIFT:=warn}"
: "${SIGN_KEY:=}" "${PUBLIC_KEY:=${SIGN_KEY%.key}.pub}" "${REQUIRE:=tested}"
: "${BOOT_TEST:=mkbuild test --timeout 10m${SIGN_KEY:+ --attest $SIGN_KEY}}"
sign=()
[ -z "$SIGN_KEY" ] || sign=(--sign "$SIGN_KEY")

step() { echo "nightly: $*" >&2; }
if [ -n "$UPLOAD" ] && [ -z "$SIGN_KEY" ]; then
  step "UPLOAD needs SIGN_KEY: only what is signed is published"
  exit 2
fi

step "restore the cache of this lock"
key=$(sha256sum mkbuild.lock | cut -d' ' -f1)
cache=$CACHE_STORE/$key
mkdir -p "$cache"
# The newest other cache has most of what a changed lock needs: hard links cost nothing.
if [ -z "$(ls -A "$cache")" ]; then
  newest=$(find "$CACHE_STORE" -mindepth 1 -maxdepth 1 -type d ! -name "$key" -printf '%T@ %p\n' | sort -rn | sed -n '1s/^[^ ]* //p')
  [ -z "$newest" ] || cp -al "$newest/." "$cache/"
fi

step "is upstream still as locked?"
status=0
mkbuild lock --check --cache-dir "$cache" --progress plain || status=$?
case $status in
0) ;;
3 | 4 | 5) # other files, no answer, or a wrong one: what the cache has can be built all the same
  [ "$ON_DRIFT" != fail ] || exit $status
  ;;
*) exit $status ;;
esac

step "fetch what the cache lacks"
mkbuild fetch --locked --cache-dir "$cache" --progress plain

step "build without the network"
rm -rf "$OUT"
mkdir -p "$OUT"
image=$(mkbuild iso --locked --offline --cache-dir "$cache" --progress json "${sign[@]}" -o "$OUT/nightly.iso" 2>"$OUT/events.jsonl") || {
  status=$?
  cat "$OUT/events.jsonl" >&2
  exit $status
}

step "boot it"
$BOOT_TEST "$image"

if [ -n "$SIGN_KEY" ]; then
  step "is it signed, of this lock, and $REQUIRE?"
  mkbuild verify "$image" --key "$PUBLIC_KEY" --lock mkbuild.lock --require "$REQUIRE" >&2
fi

step "checksums"
cp mkbuild.lock "$OUT/"
sums=$(cd "$OUT" && find . -type f ! -name events.jsonl -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum)
echo "$sums" >"$OUT/SHA256SUMS"

if [ -n "$UPLOAD" ]; then
  step "upload"
  $UPLOAD "$OUT"/*
fi
# Caches of locks that nobody has used for a month.
touch "$cache"
find "$CACHE_STORE" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {} +
step "done: $image"
