def pytest_addoption(parser):
    parser.addoption("--quick", action="store_true", help="tiny sizes: does everything run?")
