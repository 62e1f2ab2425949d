"""Files that were published once and for all: their sizes, checksums and addresses."""

from __future__ import annotations

from uncrumple.data.download import Remote

# Where Keras has its copies.
ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"

CIFAR10 = Remote(
    "cifar-10-python.tar.gz",
    170_498_071,
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
)
CIFAR100 = Remote(
    "cifar-100-python.tar.gz",
    169_001_437,
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
)
IMDB = Remote(
    "aclImdb_v1.tar.gz",
    84_125_825,
    "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    ("https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",),
)
SHAKESPEARE = Remote(
    "tinyshakespeare.txt",
    1_115_394,
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
    ),
)
HOUSING = Remote(
    "housing.csv",
    1_423_529,
    "2364609dc48bec7df3ba9dbb7041478e704ecddcee70ef1827ec3fc49d22c0cc",
    ("https://raw.githubusercontent.com/ageron/handson-ml2/master/datasets/housing/housing.csv",),
)
TITANIC = Remote(
    "titanic.csv",
    61_904,
    "14769fb1850e2d26d8e6db0ee49c213878040432827e39b13caaa15603c6598f",
    ("https://raw.githubusercontent.com/ageron/handson-ml2/master/datasets/titanic/train.csv",),
)
CATS_AND_DOGS = Remote(
    "kagglecatsanddogs_5340.zip",
    824_887_076,
    "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
    ("https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",),
)

FASHION_MIRRORS = (
    f"{ORIGIN}",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
# The checksums that its authors publish, and the shapes.
FASHION_FILES: dict[str, tuple[str, tuple[int, ...]]] = {
    "train-images-idx3-ubyte.gz": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", (60000, 28, 28)),
    "train-labels-idx1-ubyte.gz": ("25c81989df183df01b3e8a0aad5dffbe", (60000,)),
    "t10k-images-idx3-ubyte.gz": ("bef4ecab320f06d8554ea6380940ec79", (10000, 28, 28)),
    "t10k-labels-idx1-ubyte.gz": ("bb300cfdad3c16e7a12a480ee83cd310", (10000,)),
}


_FASHION_BYTES = (26_421_880, 29_515, 4_422_102, 5_148)


def fashion_mnist_files() -> list[Remote]:
    """Return the four files of Fashion-MNIST: training pictures and labels, test pictures and labels."""
    return [
        Remote(name, size, None, tuple(mirror + name for mirror in FASHION_MIRRORS), md5=md5)
        for (name, (md5, _)), size in zip(FASHION_FILES.items(), _FASHION_BYTES)
    ]
