#!/bin/bash
# Quoted, since nothing of it is meant for the shell.
# shellcheck disable=SC1003,SC2016
readonly NAME=imdb
readonly PROJECT=some-project
readonly ZONE=us-west4-a
readonly WORKDIR=gs://bucket/runs/imdb
readonly ARCHIVE=gs://bucket/longhaul/longhaul-0.1.0-0123456789abcdef.tar.gz
readonly DIGEST=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
readonly MAX_SECONDS=10800
readonly BOOTSTRAP='print('"'"'the bootstrap'"'"')
'
readonly REQUIREMENTS=('tensorflow-tpu==2.20.*' 'absl-py>=2.1,<3' 'google-crc32c>=1.5,<2' 'google-cloud-storage>=3.1,<4' 'importlib_resources>=5' 'keras>=3.10,<4' 'ml-collections>=1.0,<2' 'numpy>=1.26,<3' 'tensorboard>=2.20,<3' 'tensorflow-datasets>=4.9.7,<5' 'tqdm>=4.66,<5' 'setuptools>=68')
readonly ARGUMENTS=(--config=configs/sample.py --workdir=gs://bucket/runs/imdb)
# What a TPU VM runs at each of its boots, as root. Above it deploy/tpu_vm.py writes what differs
# between jobs: NAME, PROJECT, ZONE, WORKDIR, ARCHIVE, DIGEST, MAX_SECONDS, BOOTSTRAP, REQUIREMENTS
# and ARGUMENTS.
#
# It installs what is missing, runs the job, and runs it again when it was stopped from outside.
# When the job is over, well or not, or its time is, the log and the exit code go to the workdir and
# the machine is deleted, so that nobody pays for an idle one.

set -euo pipefail

# All state is in one folder, so that a boot finds what the one before has done.
readonly HOME_FOLDER=${LONGHAUL_HOME:-/var/lib/longhaul}
readonly PAUSE=${LONGHAUL_PAUSE:-10} # seconds before something is tried again
readonly MAX_STARTS=50               # of the job, in one boot
readonly LOG=$HOME_FOLDER/log
readonly EXIT=$HOME_FOLDER/exit
readonly LOGS=$WORKDIR/logs
readonly OUT_OF_TIME=124 # the exit code of timeout
# In the foreground: the whole job stays one process group, which is killed as one.
readonly LIMITED=(--foreground --kill-after=60)

# Where gcloud lies on Google's images; neither variable is sure to be set at boot.
export PATH="${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}:/snap/bin"
export HOME="${HOME:-/root}"
export PYTHONUNBUFFERED=1

mkdir -p "$HOME_FOLDER"
cd "$HOME_FOLDER"

job=
uploads=
python=${LONGHAUL_PYTHON:-}

say() {
  printf '[startup %s] %s\n' "$(date -u +%FT%TZ)" "$*"
}

seconds_left() {
  local began
  began=$(<began)
  echo $((began + MAX_SECONDS - $(date +%s)))
}

within_limit() {
  local left
  left=$(seconds_left)
  ((left > 0)) || return "$OUT_OF_TIME"
  timeout "${LIMITED[@]}" "$left" "$@"
}

persistently() {
  for _ in 1 2 3 4; do
    "$@" && return
    sleep "$PAUSE"
  done
  "$@"
}

upload_log() {
  gcloud storage cp --quiet "$LOG" "$LOGS/$NAME.log" >/dev/null 2>&1
}

upload_log_now_and_then() {
  while sleep 60; do
    upload_log || true
  done
}

# The end of the job, whichever: not of a boot in which the machine was taken away.
finish() {
  local code=$?
  trap - EXIT
  set +e
  [[ -s $EXIT ]] || echo "$code" >"$EXIT"
  say "over with exit code $(<"$EXIT"); deleting $NAME"
  persistently upload_log
  persistently gcloud storage cp --quiet "$EXIT" "$LOGS/$NAME.exit"
  persistently gcloud compute tpus queued-resources delete "$NAME" \
    "--project=$PROJECT" "--zone=$ZONE" --force --quiet --async || say "NOT DELETED, and still paid for"
  stop_uploads
}

# The machine goes: what runs gets the signal too, and the next boot, or machine, carries on.
leave() {
  trap - EXIT
  trap '' TERM INT
  say "asked to leave"
  if [[ -n $job ]]; then
    kill -TERM "$job" 2>/dev/null || true
    wait "$job" || true
  fi
  upload_log || true
  stop_uploads
  exit 75
}

stop_uploads() {
  [[ -z $uploads ]] || kill "$uploads" 2>/dev/null || true
}

install() {
  local environment=$HOME_FOLDER/environment
  python=$environment/bin/python
  [[ -e installed ]] && return
  rm -rf "$environment"
  if ! python3 -m venv "$environment"; then # Debian keeps it in a package of its own
    within_limit apt-get --quiet update
    within_limit apt-get --quiet --yes -o DPkg::Lock::Timeout=300 install python3-venv
    python3 -m venv "$environment"
  fi
  # All at once, so that one choice of versions fits all. None requires `tensorflow`, which would
  # be laid over the TPU's.
  persistently within_limit "$python" -m pip install --quiet "${REQUIREMENTS[@]}"
  touch installed
}

# Until it is over, its time is, or it was stopped too often.
run() {
  local code=0 left start
  for ((start = 1; start <= MAX_STARTS; start++)); do
    left=$(seconds_left)
    if ((left <= 0)); then
      say "its $MAX_SECONDS seconds are over"
      return "$OUT_OF_TIME"
    fi
    say "start $start of the job"
    code=0
    timeout "${LIMITED[@]}" "$left" "$python" bootstrap.py "$ARCHIVE" "$DIGEST" "${ARGUMENTS[@]}" &
    job=$!
    wait "$job" || code=$?
    job=
    say "the job left with exit code $code"
    # 75 asks for another start, and beyond 128 it was killed.
    ((code == 75 || code == OUT_OF_TIME || code > 128)) || return "$code"
    upload_log || true # should the machine be on its way out
    sleep "$PAUSE"
  done
  return "$code"
}

trap finish EXIT
trap leave TERM INT

# A machine made in place of one that was taken away goes on with its log.
if [[ ! -e began ]]; then
  gcloud storage cp --quiet "$LOGS/$NAME.log" "$LOG" >/dev/null 2>&1 || true
  date +%s >began.new
  mv began.new began
fi
exec >>"$LOG" 2>&1
upload_log_now_and_then &
uploads=$!

if [[ -s $EXIT ]]; then # a boot after the end: only the deletion is left to do
  exit
fi
printf '%s' "$BOOTSTRAP" >bootstrap.py
[[ -n $python ]] || install
run
