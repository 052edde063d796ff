#!/bin/bash
# All values are quoted: the shell must not expand anything in them.
# shellcheck disable=SC1003,SC2016
readonly NAME=imdb
readonly PROJECT=some-project
readonly ZONE=us-west4-a
readonly WORKDIR=gs://bucket/runs/imdb
readonly ARCHIVE=gs://bucket/longhaul/longhaul-0.1.0-0123456789abcdef.tar.gz
readonly DIGEST=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
readonly MAX_SECONDS=86400
readonly KEEP_SECONDS=0
readonly WHEELS=''
readonly SEVERAL=''
readonly BOOTSTRAP='print('"'"'the bootstrap'"'"')
'
readonly REQUIREMENTS=(<tpu_requirements.txt>)
readonly ARGUMENTS=(--config=configs/sample.py --workdir=gs://bucket/runs/imdb --config.strategy.accelerators=4)
<tpu_google.sh>

<tpu_install.sh>

<tpu_startup.sh>
