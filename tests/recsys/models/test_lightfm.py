from model_contract import ModelContract

from recsys.models.lightfm import LightFM


class TestLightFM(ModelContract):
    model = LightFM(factors=8, epochs=10)
