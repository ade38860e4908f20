"""What holds for every test."""

from hypothesis import HealthCheck, settings

# A busy machine makes no law false: nothing here may fail on time. Fixtures such as tmp_path are shared by all examples
# of a test on purpose: each example writes over what the one before it left.
settings.register_profile(
    "amodal", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("amodal")
