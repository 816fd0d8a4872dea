"""What the figures from Node call: as in figures.py."""


def one():
    return 1


class Echo:
    def one(self):
        return 1

    def size(self, array):
        return array.nbytes
