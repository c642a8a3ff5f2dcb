"""What a build adds to sources is written, so that packages that ask for their own version can be imported."""

from importlib.metadata import distributions
from pathlib import Path

from kodo.jobs.review.built_files import add_built_files


def _names(tree: Path) -> dict[str, str]:
    return {one.metadata["Name"]: one.version for one in distributions(path=[str(tree)])}


def test_the_metadata_of_the_project_is_found_where_it_is_imported(tmp_path: Path):
    """Name and version are the project's; its entry points are there too."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "Some.Tool"\nversion = "1.4"\n[project.entry-points.plugins]\na = "some:a"\n'
    )
    add_built_files(tmp_path)
    assert _names(tmp_path) == {"Some.Tool": "1.4"}
    (found,) = distributions(path=[str(tmp_path)])
    assert [(one.group, one.name, one.value) for one in found.entry_points] == [("plugins", "a", "some:a")]


def test_the_version_module_of_a_build_is_written_once(tmp_path: Path):
    """The file that the settings name holds a version; one that is there is left alone."""
    (tmp_path / "src").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "tool"\ndynamic = ["version"]\n'
        '[tool.hatch.build.hooks.vcs]\nversion-file = "src/_version.py"\n'
    )
    add_built_files(tmp_path)
    space: dict[str, object] = {}
    exec((tmp_path / "src/_version.py").read_text(), space)
    assert space["version"] == space["__version__"] == "0.0.0" and space["version_tuple"] == (0, 0, 0)
    (tmp_path / "src/_version.py").write_text("version = '9'\n")
    add_built_files(tmp_path)
    assert (tmp_path / "src/_version.py").read_text() == "version = '9'\n"


def test_older_settings_name_the_project_too(tmp_path: Path):
    """setup.cfg and setup.py are read, not run."""
    (tmp_path / "setup.cfg").write_text("[metadata]\nname = old\n")
    add_built_files(tmp_path)
    assert _names(tmp_path) == {"old": "0.0.0"}


def test_a_version_file_outside_of_the_project_is_not_written(tmp_path: Path):
    """A hostile setting cannot reach beyond the folder that is laid out."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").write_text('[tool.setuptools_scm]\nwrite_to = "../out.py"\n')
    add_built_files(tree)
    assert not (tmp_path / "out.py").exists()


def test_settings_that_do_not_parse_say_nothing(tmp_path: Path):
    """A project that cannot be read is laid out as it is."""
    (tmp_path / "pyproject.toml").write_text("[project\n")
    add_built_files(tmp_path)
    assert not list(tmp_path.glob("*.dist-info"))
