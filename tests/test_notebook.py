"""In a real Jupyter kernel demos run, figures show, and the bar is the notebook's. Wants ipykernel and ipywidgets."""

import pytest

jupyter_client = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")
pytest.importorskip("ipywidgets")


@pytest.fixture(scope="module")
def run():
    """run(code): (the text that the cell printed, [the MIME types of each thing it displayed])."""
    manager, client = jupyter_client.start_new_kernel()

    def run(code):
        printed, displayed = [], []

        def note(message):
            content = message["content"]
            assert message["msg_type"] != "error", "\n".join(content["traceback"])
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] in ("display_data", "execute_result"):
                displayed.append(set(content["data"]))

        client.execute_interactive(code, timeout=120, output_hook=note)
        return "".join(printed), displayed

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


SMALL = ["--images", "24", "--epochs", "1"]


def test_a_demo_runs_and_prints(run, tmp_path):
    printed, displayed = run(
        f"from demos import reconstruction\nreconstruction.main({[*SMALL, '--out', str(tmp_path)]})"
    )
    assert "12,620,824 parameters" in printed and (tmp_path / "reconstruction.png").exists()
    assert {"application/vnd.jupyter.widget-view+json", "text/plain"} in displayed  # the progress bar


def test_bad_input_is_one_line(run, tmp_path):
    main = f"reconstruction.main({['--epochs', '0', '--out', str(tmp_path)]})"
    printed, _ = run(f"from demos import reconstruction\ntry:\n    {main}\nexcept SystemExit as stop:\n    print(stop)")
    said, status = sorted(printed.splitlines(), reverse=True)
    assert status == "2" and said.endswith("--epochs: found '0', wanted a whole number, 1 or more")


def test_a_figure_shows(run):
    _, displayed = run(
        "import numpy as np\nfrom autoencoders.figures import picture_rows_figure\n"
        "picture_rows_figure('title', {'row': np.zeros((2, 64, 64, 3), np.uint8)})"
    )
    assert displayed == [{"image/png", "text/plain"}]


def test_a_figure_of_the_architecture_shows_after_pyplot_too(run):
    _, displayed = run(
        "import numpy as np\nfrom matplotlib import pyplot\nfrom autoencoders import VAE\n"
        "from autoencoders.architecture import architecture_figure\n"
        "architecture_figure(VAE(rng=np.random.default_rng(0)))"
    )
    assert displayed == [{"image/png", "text/plain"}]


def test_a_command_that_a_notebook_starts_writes_its_files(run, tmp_path):
    command = f"python -m demos.denoising {' '.join(SMALL)} --quiet --out {tmp_path}"
    run(f"import subprocess, sys\nsubprocess.run([sys.executable, *{command.split()[1:]}], check=True)")
    assert (tmp_path / "denoising.png").exists()
