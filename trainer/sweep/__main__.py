"""Makes `python -m trainer.sweep` run the command line of main.py."""

from storage import early_signals


def run() -> None:
    """Runs the command. Signals are heard before the slower imports."""
    early_signals.listen()
    from trainer.sweep import main

    main.run()


if __name__ == "__main__":
    run()
