"""Over how many imports the files of a project come to a module."""

from kodo.jobs.review.import_distance import import_distances

FILES = {
    "src/shop/__init__.py": "from shop.trade import sell",
    "src/shop/trade.py": "from . import (\n    stock,  # goods\n    price as cost,\n)\n",
    "src/shop/stock.py": "def count():\n    from .price import total\n    return total\n",
    "src/shop/price.py": "",
    "src/shop/alone.py": "import os, sys\n",
    "tests/test_price.py": "import shop.price as p, os\n",
    "tests/test_shop.py": "import shop\n",
    "tests/test_alone.py": "from shop.alone import x\n",
    "tests/test_helper.py": "from tests.test_shop import fill\n",
}


def test_the_fewest_imports_count(tmp_path):
    """Absolute and relative imports, in functions and over several lines; importing a module imports its package."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert import_distances(tmp_path, sorted(FILES), "src/shop/price.py") == {
        "src/shop/price.py": 0,
        "src/shop/trade.py": 1,
        "src/shop/stock.py": 1,
        "tests/test_price.py": 1,
        "src/shop/__init__.py": 2,
        "tests/test_shop.py": 3,
        "tests/test_alone.py": 3,
        "tests/test_helper.py": 4,
    }
