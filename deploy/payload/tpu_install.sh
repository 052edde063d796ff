# How a TPU VM gets the job's packages: from PyPI, or from the bucket's folder that WHEELS names,
# for networks without PyPI. deploy/targets/tpu_vm/startup_script.py puts it before tpu_startup.sh.

readonly PATIENCE=${LONGHAUL_PATIENCE:-900} # seconds for which a failing step is tried again

# Repeats a command that fails, within the job's time.
patiently() {
  local code deadline=$((SECONDS + PATIENCE))
  until "$@"; do
    code=$?
    ((SECONDS < deadline && $(seconds_left) > 0)) || return "$code"
    say "exit code $code, trying again: $1"
    sleep "$PAUSE"
  done
}

install() {
  local environment=$HOME_FOLDER/environment
  python=$environment/bin/python
  [[ -e installed ]] && return
  rm -rf "$environment"
  # All packages in one command, so that pip finds versions that fit together. None of them requires
  # `tensorflow`, which would replace files of the TPU's TensorFlow.
  if [[ -n $WHEELS ]]; then
    install_wheels
  else
    # Debian has a part of venv in a package of its own.
    python3 -m venv "$environment" || patiently add_venv
    patiently within_limit "$python" -m pip install --quiet "${REQUIREMENTS[@]}"
  fi
  touch installed
}

# While the machine boots, other programs hold apt's locks; only `install` can wait for its lock.
add_venv() {
  export DEBIAN_FRONTEND=noninteractive
  within_limit apt-get --quiet update &&
    within_limit apt-get --quiet --yes -o DPkg::Lock::Timeout=300 install python3-venv &&
    python3 -m venv "$environment"
}

# Needs neither PyPI nor Debian's packages: pip runs from its own wheel.
install_wheels() {
  local pip
  mkdir -p wheels
  patiently fetch_wheels
  pip=(wheels/pip-*.whl)
  if [[ ! -e ${pip[0]} ]]; then
    say "no pip-*.whl in $WHEELS: fill it as the prerequisites of --dry_run say"
    return 1
  fi
  python3 -m venv --without-pip "$environment"
  within_limit "$python" "${pip[0]}/pip" install --quiet --no-index --find-links=wheels \
    pip "${REQUIREMENTS[@]}"
}

fetch_wheels() {
  local urls url
  urls=$(list "$WHEELS/") || return 1
  for url in $urls; do
    [[ $url != *.whl ]] || download "$url" "wheels/${url##*/}" || return 1
  done
}

# TensorFlow reaches a v5e only through PJRT, and loads that from libtpu when both variables are set.
use_chips() {
  local library
  library=$("$python" -c 'from importlib.util import find_spec
found = find_spec("libtpu")
print(found.submodule_search_locations[0] + "/libtpu.so" if found else "")')
  if [[ -z $library ]]; then
    say "libtpu is not installed, so TensorFlow won't find the TPU"
    return
  fi
  export NEXT_PLUGGABLE_DEVICE_USE_C_API=true TF_PLUGGABLE_DEVICE_LIBRARY_PATH=$library
}
