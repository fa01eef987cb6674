from model_contract import ModelContract

from recsys.models.ease import EASE


class TestEASE(ModelContract):
    model = EASE(l2=5.0)
