"""Makes `python -m deploy.submit` and `longhaul-submit` run the command line of main.py."""

from storage import early_signals


def run() -> None:
    """Runs the command. Signals are heard before the slow imports."""
    early_signals.listen()
    from deploy.submit import main

    main.run()


if __name__ == "__main__":
    run()
