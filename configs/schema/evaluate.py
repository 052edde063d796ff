"""Evaluates a config as the trainer would, and prints its fields as one line of JSON.

    python -m configs.schema.evaluate --config=configs/imdb.py --config.train.epochs=2

A config that the trainer would refuse ends in the trainer's line and exit code 1.
"""

import json
import sys

from configs.schema import command_line, rules
from storage.errors import UserError


def run() -> None:
    """Parses the flags and prints the fields by their full names."""
    given = command_line.define_config()

    def main(argv: list[str]) -> None:
        try:
            if given.value is None:
                raise UserError("--config: missing; give a config such as configs/sample.py")
            rules.check(given.value)
        except UserError as error:
            sys.exit(f"error: {error}")
        print(json.dumps(rules.flatten(given.value)))

    command_line.run(main)


if __name__ == "__main__":
    run()
