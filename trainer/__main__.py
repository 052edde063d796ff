"""Train, evaluate or use a sentiment classifier; see README.md.

python -m trainer --config=configs/sample.py --workdir=runs/sample
python -m trainer --mode=evaluate --workdir=runs/sample
python -m trainer --mode=predict --workdir=runs/sample --text="A film to remember."
"""

from absl import flags

from trainer import main

flags.adopt_module_key_flags(main)
main.run()
