from model_contract import ModelContract

from recsys.models.item_knn import ItemKNN


class TestItemKNN(ModelContract):
    model = ItemKNN(k=10)
