#!/usr/bin/env bash
# Train on a GPU that is available only for minutes: a rehearsal of half a minute, then the run; its parts go to OUT.
# bash training/gpu.sh PACK OUT MINUTES [CONFIG [more options of `python -m training run`]]
#   PACK  folder of folders of portraits, from `python -m training pack`; the last ones of the first folder are for validation
#   OUT   folder for the checkpoint in parts, and run.tar: log, sheets, weights of the phases
set -uo pipefail
pack=$1 out=$2 minutes=$3 config=${4:-gpu}
shift $(($# > 4 ? 4 : $#))
run=${RUN:-/tmp/gpen-edge-run} python=${PYTHON:-python3}
mkdir -p "$out"
rm -rf "$run-rehearsal"
"$python" -m training run "$pack"/*/ -o "$run-rehearsal" --config rehearsal --minutes "${REHEARSAL:-0.2}" "$@" --workers 2 || exit 1
"$python" -m training run "$pack"/*/ -o "$run" --config "$config" --minutes "$minutes" "$@"
status=$?
"$python" -m training split "$run" -o "$out" --light
tar -C "$run" --exclude checkpoint.pt --exclude "*.safetensors" -cf "$out/run.tar" .
ls -t "$run"/phase-*.safetensors | sed -n 2p | xargs -I{} cp {} "$out"  # the last one is the checkpoint's average
exit $status
