# What the start-up script asks of Google's services, through curl: the metadata server, the bucket
# and Cloud TPU. deploy/targets/tpu_vm/startup_script.py puts it before tpu_startup.sh.

# Other addresses are for tests.
readonly METADATA=${LONGHAUL_METADATA:-http://metadata.google.internal}/computeMetadata/v1/instance
readonly STORAGE=${LONGHAUL_STORAGE:-https://storage.googleapis.com}
readonly TPU=${LONGHAUL_TPU:-https://tpu.googleapis.com}
MAX_TIME=60 # seconds for one call; more for a file

metadata() {
  curl --silent --show-error --fail --max-time 30 --header 'Metadata-Flavor: Google' "$METADATA/$1"
}

# Calls a REST interface as the machine's service account. curl reads the token from its standard
# input, since every user of the machine can see a command line.
call() {
  local answer
  answer=$(metadata service-accounts/default/token) || return 1 # not the code from before a trap
  if [[ ! $answer =~ \"access_token\":\ *\"([^\"]+)\" ]]; then
    say "the metadata server's answer has no token: does the machine have a service account?"
    return 1
  fi
  curl --config - --silent --show-error --fail --connect-timeout 20 --max-time "$MAX_TIME" "$@" \
    <<<"header = \"Authorization: Bearer ${BASH_REMATCH[1]}\""
}

# Percent-encodes a name. No name has other such characters: see deploy/job.py.
encoded() {
  local name=$1
  name=${name//+/%2B} name=${name//\//%2F} name=${name//@/%40}
  echo "${name//=/%3D}"
}

# Splits gs://BUCKET/NAME and sets `bucket` and `name`, the latter encoded.
split() {
  local path=${1#gs://}
  bucket=${path%%/*} name=$(encoded "${path#*/}")
}

# upload FILE URL [CONDITION]
upload() {
  local bucket name
  split "$2"
  MAX_TIME=900 call --output /dev/null --header 'Content-Type: text/plain' --data-binary "@$1" \
    "$STORAGE/upload/storage/v1/b/$bucket/o?uploadType=media&name=$name${3:-}"
}

# download URL FILE
download() {
  local bucket name
  split "$1"
  MAX_TIME=900 call --output "$2" "$STORAGE/storage/v1/b/$bucket/o/$name?alt=media"
}

exists() {
  local bucket name
  split "$1"
  call --output /dev/null "$STORAGE/storage/v1/b/$bucket/o/$name"
}

remove() {
  local bucket name
  split "$1"
  call --request DELETE "$STORAGE/storage/v1/b/$bucket/o/$name"
}

# Prints the URLs of up to 1,000 objects below gs://BUCKET/FOLDER/, a line each.
list() {
  local bucket name answer
  split "$1"
  answer=$(call "$STORAGE/storage/v1/b/$bucket/o?prefix=$name") || return 1
  python3 -c 'import json, sys
for item in json.load(sys.stdin).get("items", []):
    print("gs://" + sys.argv[1] + "/" + item["name"])' "$bucket" <<<"$answer"
}

# The gcloud of an older image does not know --force, and other images have no gcloud.
delete_machine() {
  local resource=projects/$PROJECT/locations/$ZONE/queuedResources/$NAME
  call --output /dev/null --request DELETE "$TPU/v2/$resource?force=true" && return 0
  say "not deleted with curl, trying gcloud"
  gcloud compute tpus queued-resources delete "$NAME" "--project=$PROJECT" "--zone=$ZONE" \
    --force --quiet --async
}
