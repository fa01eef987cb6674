from model_contract import ModelContract

from recsys.models.bpr import BPR


class TestBPR(ModelContract):
    model = BPR(factors=8, epochs=60, learning_rate=0.05)
