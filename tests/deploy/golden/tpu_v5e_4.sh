#!/bin/bash
# Quoted, since nothing of it is meant for the shell.
# shellcheck disable=SC1003,SC2016
readonly NAME=imdb
readonly PROJECT=some-project
readonly ZONE=us-west4-a
readonly WORKDIR=gs://bucket/runs/imdb
readonly ARCHIVE=gs://bucket/longhaul/longhaul-0.1.0-0123456789abcdef.tar.gz
readonly DIGEST=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
readonly MAX_SECONDS=86400
readonly BOOTSTRAP='print('"'"'the bootstrap'"'"')
'
readonly REQUIREMENTS=('tensorflow-tpu==2.20.*' 'absl-py>=2.1,<3' 'google-crc32c>=1.5,<2' 'google-cloud-storage>=3.1,<4' 'importlib_resources>=5' 'keras>=3.10,<4' 'ml-collections>=1.0,<2' 'numpy>=1.26,<3' 'tensorboard>=2.20,<3' 'tensorflow-datasets>=4.9.7,<5' 'tqdm>=4.66,<5' 'setuptools>=68')
readonly ARGUMENTS=(--config=configs/sample.py --workdir=gs://bucket/runs/imdb)
<tpu_startup.sh>
