# What a TPU VM runs at each of its boots, as root. deploy/targets/tpu_vm/startup_script.py puts the
# job's values above it: NAME, PROJECT, ZONE, WORKDIR, ARCHIVE, DIGEST, MAX_SECONDS, KEEP_SECONDS,
# WHEELS, SEVERAL, BOOTSTRAP, REQUIREMENTS and ARGUMENTS; and tpu_google.sh and tpu_install.sh.
#
# It installs what is missing and runs the job, again and again while the job is stopped from
# outside. When the job has succeeded, failed or used up its time, it copies the log and the exit
# code to the workdir and deletes the machine, so that nobody pays for an idle one. A machine whose
# job has failed is deleted KEEP_SECONDS later.
#
# With SEVERAL, all machines of a slice run this script. Each starts TensorFlow's server for its
# chips. The first machine also runs the job, which uses the chips of all machines. The others wait
# until they are deleted with the first. They delete the slice themselves when they can't serve, or
# some time after the job's time is over.

set -euo pipefail

# All state is in one folder, where the next boot finds it.
readonly HOME_FOLDER=${LONGHAUL_HOME:-/var/lib/longhaul}
readonly PAUSE=${LONGHAUL_PAUSE:-10} # seconds before a retry
readonly CONSOLE=${LONGHAUL_CONSOLE:-/dev/ttyS0} # the serial console
readonly MAX_STARTS=50               # of the job, during one boot
readonly MAX_CRASHES=3               # of these, by a fault of the program
readonly LOG=$HOME_FOLDER/log
readonly EXIT=$HOME_FOLDER/exit
readonly LOGS=${WORKDIR%/}/logs
readonly OUT_OF_TIME=124 # the exit code of timeout
# --foreground keeps the whole job in one process group, which is killed as one.
readonly LIMITED=(--foreground --kill-after=60)
readonly PORT=${LONGHAUL_PORT:-8470} # of TensorFlow's server, by its own default
readonly SECONDS_TO_CONNECT=${LONGHAUL_SECONDS_TO_CONNECT:-1800} # to the servers of a slice
readonly UNREACHABLE=69 # the exit code when a server can't be reached
readonly SECONDS_TO_DELETE=300 # for the first machine, when the job's time is over

# /snap/bin has gcloud on Google's images. PATH and HOME may not be set during boot.
export PATH="${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}:/snap/bin"
export HOME="${HOME:-/root}"
export PYTHONUNBUFFERED=1

job=
background=()
machine=${SEVERAL:+unknown} # its number in the slice
machine=${machine:-0}
devices=() # the job's arguments with the addresses of the TPU's servers
addresses=()
python=${LONGHAUL_PYTHON:-}

# Also on the serial console, which can be read when the bucket has no log.
say() {
  local line
  line="[startup $(date -u +%FT%TZ)] $*"
  echo "$line" >&2
  { [[ ! -w $CONSOLE ]] || echo "$line" >>"$CONSOLE"; } 2>/dev/null || true
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

with_retries() {
  for _ in 1 2 3 4; do
    "$@" && return 0 # in a trap, `return` alone would return the code from before the trap
    sleep "$PAUSE"
  done
  "$@"
}

log_name() {
  if [[ $machine == 0 ]]; then echo "$LOGS/$NAME.log"; else echo "$LOGS/$NAME.$machine.log"; fi
}

# One after the other, so that the last one is the one with the last lines.
upload_log() {
  {
    flock 9 || true
    upload "$LOG" "$(log_name)" 2>/dev/null
  } 9<"$HOME_FOLDER"
}

# The first machine that writes the exit code decides. It is no file of the disk, which may be full.
upload_exit() {
  upload <(echo "$1") "$LOGS/$NAME.exit" '&ifGenerationMatch=0' || exists "$LOGS/$NAME.exit"
}

upload_log_regularly() {
  while sleep 60; do
    upload_log || true
  done
}

# Runs when the job is over for any reason, but not when the machine is taken away.
finish() {
  local code=$? kept
  trap - EXIT
  set +e
  if [[ -s $EXIT ]]; then code=$(<"$EXIT"); else echo "$code" >"$EXIT"; fi
  kept=$(seconds_to_keep "$code")
  say "over with exit code $code"
  ((kept == 0)) || say "kept for $kept s, then deleted; to look inside:" \
    "gcloud compute tpus tpu-vm ssh $NAME --zone=$ZONE --project=$PROJECT"
  with_retries upload_log
  with_retries upload_exit "$code"
  pause "$kept"
  say "deleting $NAME"
  until with_retries delete_machine; do
    say "NOT DELETED, still paid for; trying again"
    upload_log
    pause "$((60 * PAUSE))"
  done
  stop_background
}

# Prints how long the machine stays for a look at it, which a boot in that time does not prolong.
seconds_to_keep() {
  local code=$1 left
  if ((code == 0 || code == OUT_OF_TIME || KEEP_SECONDS == 0)); then
    echo 0
    return
  fi
  [[ -s keep_until ]] || echo "$(($(date +%s) + KEEP_SECONDS))" >keep_until
  left=$(($(<keep_until) - $(date +%s)))
  echo "$((left > 0 ? left : 0))"
}

# Sleeps such that a signal is handled at once.
pause() {
  sleep "$1" &
  background+=("$!")
  wait "$!"
}

# The machine is taken away: stops what runs; the next boot, or another machine, continues the job.
leave() {
  trap - EXIT
  trap '' TERM INT
  say "asked to stop"
  if [[ -n $job ]]; then
    kill -TERM "$job" 2>/dev/null || true
    wait "$job" || true
  fi
  upload_log || true
  # The first machine saves before it stops, so the others have to serve until they are killed.
  [[ $machine != 0 ]] || stop_background
  exit 75
}

stop_background() {
  ((${#background[@]} == 0)) || kill "${background[@]}" 2>/dev/null || true
}

# Sets the number of this machine in the slice and the addresses of all machines.
find_place() {
  local all endpoint endpoints number
  # NAME:PORT:ADDRESS, as tensorflow/python/tools/grpc_tpu_worker.py reads them.
  local known='[^:,]*:[^:,]*:[0-9A-Za-z.-]+'
  number=$(with_retries metadata attributes/agent-worker-number)
  all=$(with_retries metadata attributes/worker-network-endpoints)
  if [[ ! $number =~ ^[0-9]+$ || ! $all =~ ^$known(,$known)*$ ]]; then
    say "machine '$number' of '$all': unexpected metadata of a slice"
    return 1
  fi
  machine=$number
  IFS=, read -r -a endpoints <<<"$all"
  for endpoint in "${endpoints[@]}"; do
    addresses+=("${endpoint##*:}:$PORT")
  done
}

# Serves this machine's chips to the first machine, and restarts the server when it ends.
serve() {
  local server
  use_chips
  trap 'kill "$server"; exit' TERM
  while true; do
    "$python" -m tensorflow.python.tools.grpc_tpu_worker &
    server=$!
    wait "$server" || true
    say "TensorFlow's server has ended, restarting it"
    sleep "$PAUSE"
  done
}

is_listening() {
  local host=${1%:*} port=${1##*:}
  timeout 5 bash -c ': <"/dev/tcp/$1/$2"' - "$host" "$port" 2>/dev/null
}

wait_for_servers() {
  local address deadline=$((SECONDS + SECONDS_TO_CONNECT))
  for address in "${addresses[@]}"; do
    is_listening "$address" || say "waiting for the server at $address"
    until is_listening "$address"; do
      (($(seconds_left) > 0)) || return "$OUT_OF_TIME"
      if ((SECONDS >= deadline)); then
        say "no server at $address in $SECONDS_TO_CONNECT s: see its log and the network's firewall"
        return "$UNREACHABLE"
      fi
      sleep "$PAUSE"
    done
  done
}

# Waits for the first machine to delete the slice, and returns when it has not.
wait_for_deletion() {
  local left=$(($(seconds_left) + SECONDS_TO_DELETE + KEEP_SECONDS))
  say "machine $machine of ${#addresses[@]}; the job runs on machine 0"
  ((left <= 0)) || pause "$left"
  return "$OUT_OF_TIME"
}

# Runs the job until it is over, its time is over, or it was started or has crashed too often.
run() {
  local code=0 left start crashes=0
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
    # 75 asks for another start; a code beyond 128 is that of a signal.
    ((code == 75 || code == OUT_OF_TIME || code > 128)) || return "$code"
    case $code in
    132 | 134 | 135 | 136 | 137 | 139) ((++crashes < MAX_CRASHES)) || return "$code" ;;
    esac
    upload_log || true # in case the machine is about to be taken away
    sleep "$PAUSE"
  done
  return "$code"
}

trap finish EXIT
trap leave TERM INT
mkdir -p "$HOME_FOLDER"
cd "$HOME_FOLDER"
exec >>"$LOG" 2>&1

[[ -z $SEVERAL ]] || find_place
# A machine that replaces one that was taken away continues its log.
if [[ ! -e began ]]; then
  if download "$(log_name)" before 2>/dev/null; then cat before; fi
  # The exit code of an earlier job of this name.
  [[ $machine != 0 ]] || remove "$LOGS/$NAME.exit" 2>/dev/null || true
  date +%s >began.new
  mv began.new began
fi
upload_log_regularly &
background+=("$!")

if [[ -s $EXIT ]]; then # the job is over: only the deletion is left to do
  exit
fi
printf '%s' "$BOOTSTRAP" >bootstrap.py
[[ -n $python ]] || install
if [[ -n $SEVERAL ]]; then
  serve &
  background+=("$!")
  [[ $machine == 0 ]] || wait_for_deletion
  tpu=$(IFS=, && echo "${addresses[*]/#/grpc://}")
  devices=(--config.strategy.name=tpu "--config.strategy.tpu=$tpu")
  # The server has the chips, so the job must not load libtpu. And TensorFlow would print at length
  # about a machine that is lost.
  unset NEXT_PLUGGABLE_DEVICE_USE_C_API TF_PLUGGABLE_DEVICE_LIBRARY_PATH
  export TPU_LOAD_LIBRARY=0 TF_CPP_MIN_LOG_LEVEL=3
else
  use_chips
fi
run
