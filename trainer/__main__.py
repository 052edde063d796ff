"""Makes `python -m trainer` run the command line of trainer/main.py."""

from trainer import main

main.run()
