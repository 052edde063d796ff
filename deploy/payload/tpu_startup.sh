# What a TPU VM runs at each of its boots, as root. Above it deploy/targets/tpu_vm/target.py writes what differs
# between jobs: NAME, PROJECT, ZONE, WORKDIR, ARCHIVE, DIGEST, MAX_SECONDS, SEVERAL, BOOTSTRAP,
# REQUIREMENTS and ARGUMENTS.
#
# It installs what is missing, runs the job, and runs it again when it was stopped from outside.
# When the job is over, well or not, or its time is, the log and the exit code go to the workdir and
# the machine is deleted, so that nobody pays for an idle one.
#
# With SEVERAL, all machines of a slice run this. Each starts TensorFlow's server for its chips, and
# the first one also the job, which drives them all. The others stay until they are deleted with it,
# or see to that themselves when they can't serve or the job's time is long over.

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
readonly PORT=${LONGHAUL_PORT:-8470} # of TensorFlow's server: its own default
readonly METADATA=http://metadata.google.internal/computeMetadata/v1/instance/attributes
readonly PATIENCE=${LONGHAUL_PATIENCE:-1800} # seconds to wait for the servers of a slice
readonly UNREACHABLE=69 # the exit code when they don't come
readonly SECONDS_OF_THE_FIRST=300 # to delete all machines when the job's time is over

# Where gcloud lies on Google's images; neither variable is sure to be set at boot.
export PATH="${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}:/snap/bin"
export HOME="${HOME:-/root}"
export PYTHONUNBUFFERED=1

mkdir -p "$HOME_FOLDER"
cd "$HOME_FOLDER"

job=
helpers=()
machine=${SEVERAL:+unknown} # its number in the slice
machine=${machine:-0}
devices=() # arguments of the job that say where the TPU is
addresses=()
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
    "$@" && return 0 # in a trap, `return` alone has the code from before it
    sleep "$PAUSE"
  done
  "$@"
}

log_name() {
  if [[ $machine == 0 ]]; then echo "$LOGS/$NAME.log"; else echo "$LOGS/$NAME.$machine.log"; fi
}

upload_log() {
  gcloud storage cp --quiet "$LOG" "$(log_name)" >/dev/null 2>&1
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
  # Whichever machine says first how the job ended is right.
  persistently gcloud storage cp --quiet --no-clobber "$EXIT" "$LOGS/$NAME.exit"
  persistently gcloud compute tpus queued-resources delete "$NAME" \
    "--project=$PROJECT" "--zone=$ZONE" --force --quiet --async || say "NOT DELETED, and still paid for"
  stop_helpers
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
  # The first machine saves while it leaves, for which the others have to serve to their end.
  [[ $machine != 0 ]] || stop_helpers
  exit 75
}

stop_helpers() {
  ((${#helpers[@]} == 0)) || kill "${helpers[@]}" 2>/dev/null || true
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

metadata() {
  persistently curl --silent --show-error --fail --header 'Metadata-Flavor: Google' "$METADATA/$1"
}

# Which machine of the slice this is, and where all of them are.
find_place() {
  local all endpoint endpoints number
  # NAME:PORT:ADDRESS, as tensorflow/python/tools/grpc_tpu_worker.py takes them.
  local known='[^:,]*:[^:,]*:[0-9A-Za-z.-]+'
  number=$(metadata agent-worker-number)
  all=$(metadata worker-network-endpoints)
  if [[ ! $number =~ ^[0-9]+$ || ! $all =~ ^$known(,$known)*$ ]]; then
    say "machine '$number' of '$all': not what a slice is known to say"
    return 1
  fi
  machine=$number
  IFS=, read -r -a endpoints <<<"$all"
  for endpoint in "${endpoints[@]}"; do
    addresses+=("${endpoint##*:}:$PORT")
  done
}

# Makes this machine's chips available to the first, as long as it is there.
serve() {
  local server
  trap 'kill "$server"; exit' TERM
  while true; do
    "$python" -m tensorflow.python.tools.grpc_tpu_worker &
    server=$!
    wait "$server" || true
    say "TensorFlow's server has ended, starting it anew"
    sleep "$PAUSE"
  done
}

listening() {
  local host=${1%:*} port=${1##*:}
  timeout 5 bash -c ': <"/dev/tcp/$1/$2"' - "$host" "$port" 2>/dev/null
}

wait_for_servers() {
  local address until=$((SECONDS + PATIENCE))
  for address in "${addresses[@]}"; do
    listening "$address" || say "waiting for the server at $address"
    until listening "$address"; do
      (($(seconds_left) > 0)) || return "$OUT_OF_TIME"
      if ((SECONDS >= until)); then
        say "no server at $address in $PATIENCE s: see its log, and the network's firewall"
        return "$UNREACHABLE"
      fi
      sleep "$PAUSE"
    done
  done
}

# Until the first machine deletes all, or has failed to.
stay() {
  local left=$(($(seconds_left) + SECONDS_OF_THE_FIRST))
  say "machine $machine of ${#addresses[@]}; the job runs on machine 0"
  if ((left > 0)); then
    sleep "$left" &
    helpers+=("$!")
    wait "$!"
  fi
  return "$OUT_OF_TIME"
}

# Until it is over, its time is, or it was stopped too often.
run() {
  local code=0 left start
  for ((start = 1; start <= MAX_STARTS; start++)); do
    wait_for_servers || return
    left=$(seconds_left)
    if ((left <= 0)); then
      say "its $MAX_SECONDS seconds are over"
      return "$OUT_OF_TIME"
    fi
    say "start $start of the job"
    code=0
    timeout "${LIMITED[@]}" "$left" \
      "$python" bootstrap.py "$ARCHIVE" "$DIGEST" "${ARGUMENTS[@]}" "${devices[@]}" &
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
exec >>"$LOG" 2>&1

[[ -z $SEVERAL ]] || find_place
# A machine made in place of one that was taken away goes on with its log.
if [[ ! -e began ]]; then
  if gcloud storage cp --quiet "$(log_name)" before >/dev/null 2>&1; then cat before; fi
  # How an earlier job of this name has ended.
  [[ $machine != 0 ]] || gcloud storage rm --quiet "$LOGS/$NAME.exit" >/dev/null 2>&1 || true
  date +%s >began.new
  mv began.new began
fi
upload_log_now_and_then &
helpers+=("$!")

if [[ -s $EXIT ]]; then # a boot after the end: only the deletion is left to do
  exit
fi
printf '%s' "$BOOTSTRAP" >bootstrap.py
[[ -n $python ]] || install
if [[ -n $SEVERAL ]]; then
  serve &
  helpers+=("$!")
  [[ $machine == 0 ]] || stay
  tpu=$(IFS=, && echo "${addresses[*]/#/grpc://}")
  devices=(--config.strategy.name=tpu "--config.strategy.tpu=$tpu")
  # The chips are the server's; and of a machine that is lost TensorFlow would print at length.
  export TPU_LOAD_LIBRARY=0 TF_CPP_MIN_LOG_LEVEL=3
fi
run
