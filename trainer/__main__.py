"""Makes `python -m trainer` and `longhaul` run the command line of trainer/main.py."""

from storage import early_signals


def run() -> None:
    """Runs the command. Signals are heard before the slow imports."""
    early_signals.listen()
    from trainer import main

    main.run()


if __name__ == "__main__":
    run()
