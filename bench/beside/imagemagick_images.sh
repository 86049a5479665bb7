#!/bin/sh
# The photographs by ImageMagick: a process for each, as many at once as there are cores. INPUTS OUTPUT PROGRAM
set -eu
export OUTPUT="$2" PROGRAM="$3" MAGICK_THREAD_LIMIT=1
# shellcheck disable=SC2016 # another shell expands it
find "$1/photographs" -name '*.jpg' -print0 | sort -z | xargs -0 -n 1 -P "$(nproc)" \
  sh -c '"$PROGRAM" "$0" -auto-orient -filter Lanczos -resize "1600x1600>" -quality 85 "$OUTPUT/${0##*/}"'
printf '{"package": "%s"}\n' "$("$PROGRAM" -version | sed -n 's/^Version: \(ImageMagick [^ ]*\).*/\1/p')"
