"""What a layer holds is found wherever it is, and put back as it was."""

import collections
import functools
import threading
import types

import numpy as np
import pytest
from small_layers import Curve, Scale, linear

from nnlite import GradcheckError, Layer, Linear, Parameter, Sequential, Tanh, gradcheck
from nnlite.checking.held import parameters_of, put_back

OF_THE_MODULE = Parameter(np.arange(1.0, 5.0))


def by_the_module(x):
    return OF_THE_MODULE.data * x


@pytest.fixture
def w():
    return Parameter(np.arange(1.0, 5.0))


class Slotted:
    __slots__ = ("w", "unset")

    def __init__(self, w):
        self.w = w


class Property:
    @property
    def w(self):
        return OF_THE_MODULE.data * 1


def closure(w):
    def f(x):
        return w, later

    if w is None:
        later = w  # else a variable that has no value yet
    return f


def held(**attributes):
    return types.SimpleNamespace(**attributes)


class OfTheClass:
    w = OF_THE_MODULE


OF_A_CLASS = OfTheClass()


PLACES = {  # (what holds w, the name by which it is found)
    "an attribute": lambda w: (held(w=w), "w"),
    "an attribute of an attribute": lambda w: (held(a=held(w=w)), "a.w"),
    "a list": lambda w: ([1, w], "[1]"),
    "a tuple": lambda w: (held(ws=(w,)), "ws[0]"),
    "a set": lambda w: (held(ws={w}), "ws[0]"),
    "a frozenset": lambda w: (held(ws=frozenset([w])), "ws[0]"),
    "a deque": lambda w: (held(ws=collections.deque([w])), "ws[0]"),
    "a dict": lambda w: (held(ws={"a": w}), "ws['a']"),
    "a mapping": lambda w: (held(ws=types.MappingProxyType({"a": w})), "ws['a']"),
    "an array of objects": lambda w: (held(ws=np.array([None, w])), "ws[1]"),
    "a closure": lambda w: (closure(w), "w"),
    "a default of a name": lambda w: (lambda x, *, w=w: x, "w"),
    "a partial": lambda w: (held(f=functools.partial(max, w)), "f[0]"),
    "a partial, by name": lambda w: (held(f=functools.partial(max, key=w)), "f['key']"),
    "a partial of a function": lambda w: (functools.partial(closure(w), 1), "w"),
    "the owner of a method": lambda w: (held(f=types.MethodType(lambda self: 1, held(w=w))), "f.w"),
    "the function of a method": lambda w: (types.MethodType(closure(w), 1), "w"),
    "a slot": lambda w: (Slotted(w), "w"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_parameter_is_found_in(place, w):
    root, name = PLACES[place](w)
    assert parameters_of(root) == {name: w}


@pytest.mark.parametrize(
    "root, name",
    [
        (by_the_module, "OF_THE_MODULE"),
        (lambda x: by_the_module(x) + 1, "OF_THE_MODULE"),
        (OfTheClass(), "w"),
        (Property(), "OF_THE_MODULE"),
    ],
    ids=["a global", "a function of the module", "the class", "a property"],
)
def test_a_parameter_is_found_by_way_of(root, name):
    assert list(parameters_of(root)) == [name]


def test_a_parameter_is_found_in_a_default(w):
    gradcheck(lambda x, w=w: (np.sum(x**2), 2 * x), np.ones(3))


class Called:
    def __call__(self, x):
        return OF_THE_MODULE.data * x


class Started:
    def __init__(self):
        self.shape = OF_THE_MODULE.data.shape


def test_what_an_object_does_when_it_is_called_counts_and_not_how_it_was_made():
    assert list(parameters_of(Called())) == ["OF_THE_MODULE"]
    assert parameters_of(Started()) == {}


def test_other_objects_of_the_module_are_not_looked_into():
    assert parameters_of(lambda: OF_A_CLASS.w) == {}


def test_a_name_may_begin_with_any_letter(w):
    assert parameters_of(held(X=w)) == {"X": w}


def test_the_names_are_those_that_named_parameters_gives(rng):
    model = Sequential(linear(rng), Tanh())
    assert list(parameters_of(model)) == [name for name, _ in model.named_parameters()] == ["0.weight", "0.bias"]


def test_a_function_of_another_module_is_not_looked_into():
    assert parameters_of(lambda: gradcheck) == {}


def test_each_parameter_has_one_name_and_the_listed_ones_come_first(rng):
    layer = linear(rng)
    layer.alias, layer.more = layer.bias, {"weight": layer.weight}
    assert list(parameters_of(layer)) == ["weight", "bias"]


def test_of_two_with_the_same_name_the_second_is_another(w):
    assert list(parameters_of([closure(w), closure(Parameter(w.data))])) == ["w", "another w"]


def test_what_holds_itself_is_looked_at_once(w):
    root = held(w=w)
    root.root, root.roots = root, [root]
    assert parameters_of(root) == {"w": w}


@pytest.mark.parametrize("attribute", [threading.Lock(), np, (n for n in range(3)), "text", np.float64(1), open])
def test_what_cannot_be_copied_may_be_held(w, attribute):
    with put_back(held(w=w, attribute=attribute)):
        assert parameters_of(held(attribute=attribute, w=w)) == {"w": w}


# What gradcheck says of them


def layer_of(w, forward=None):
    """y = w x, by functions that close over w."""
    layer = Curve(lambda x: w.data * x, lambda x: x)

    def backward(grad_output, input_grad=True):
        w.grad += np.sum(grad_output * layer._cache, axis=0)
        return grad_output * w.data

    layer.backward = backward
    return layer


def test_a_parameter_in_a_closure_is_checked_and_warned_of(rng, w):
    report = gradcheck(layer_of(w), rng.standard_normal((3, 4)))
    assert [row.name for row in report.rows] == ["input", "w"]
    assert (
        "warning: w is a Parameter that named_parameters() does not list: no optimizer will train it" in report.remarks
    )


def test_a_parameter_of_the_class_is_checked_and_warned_of(rng):
    class Shared(Scale):
        w = Parameter(np.arange(1.0, 5.0))

        def __init__(self):
            pass

    report = gradcheck(Shared(), rng.standard_normal((3, 4)))
    assert [row.name for row in report.rows] == ["input", "w"]
    assert any(remark.startswith("warning: w is a Parameter that named_parameters()") for remark in report.remarks)


def test_a_parameter_of_a_loss_is_checked_and_is_nobodys_to_list(rng):
    centre = Parameter(np.arange(1.0, 5.0))

    def loss(x):
        centre.grad += 2 * np.sum(centre.data - x, axis=0).real
        return np.sum((x - centre.data) ** 2), 2 * (x - centre.data)

    report = gradcheck(loss, rng.standard_normal((3, 4)))
    assert [row.name for row in report.rows] == ["input", "centre"]
    assert len(report.remarks) == 1


def test_parameters_in_a_list_are_checked_and_their_training_doubted(rng):
    class InAList(Layer):
        def __init__(self):
            self.layers = [linear(rng)]

        def forward(self, x):
            return self.layers[0](x)

        def backward(self, grad_output, input_grad=True):
            return self.layers[0].backward(grad_output, input_grad)

    report = gradcheck(InAList(), rng.standard_normal((3, 4)))
    assert [row.name for row in report.rows] == ["input", "layers[0].weight", "layers[0].bias"]
    assert (
        "warning: layers[0].bias is a Parameter that named_parameters() does not list: no optimizer will train it"
        in report.remarks
    )


def test_a_parameter_that_the_first_forward_makes_is_checked(rng):
    class Lazy(Scale):
        w = None

        def __init__(self, factor):
            self.factor = factor

        def forward(self, x):
            if self.w is None:
                self.w = Parameter(np.arange(1.0, 5.0))
            return super().forward(x)

        def backward(self, grad_output, input_grad=True):
            return super().backward(grad_output) * self.factor

    layer = Lazy(1)
    assert [row.name for row in gradcheck(layer, rng.standard_normal((3, 4))).rows] == ["input", "w"]
    assert layer.w is None
    with pytest.raises(GradcheckError):
        gradcheck(Lazy(2), rng.standard_normal((3, 4)))


@pytest.mark.parametrize("of_x, of_parameter, wrong", [(1, 1, None), (7, 1, "input"), (1, 7, "input (a Parameter)")])
def test_a_parameter_called_input_has_a_name_of_its_own(rng, of_x, of_parameter, wrong):
    class Shift(Layer):
        def __init__(self):
            self.input = Parameter(np.ones(4))

        def forward(self, x):
            return x + self.input.data

        def backward(self, grad_output, input_grad=True):
            self.input.grad += of_parameter * grad_output.sum(axis=0)
            return of_x * grad_output

    if wrong is None:
        rows = gradcheck(Shift(), rng.standard_normal((3, 4))).rows
        assert [row.name for row in rows] == ["input", "input (a Parameter)"]
    else:
        with pytest.raises(GradcheckError) as raised:
            gradcheck(Shift(), rng.standard_normal((3, 4)))
        assert [row.name for row in raised.value.report.rows if row.relative_error > 1] == [wrong]


def test_integers_in_a_parameter_are_refused(rng):
    with pytest.raises(ValueError, match="^gradcheck: w is int64, wanted real numbers in a Parameter$"):
        gradcheck(Scale(np.arange(4)), rng.standard_normal((3, 4)))


def test_a_parameter_that_is_not_writeable_is_checked_on_a_copy(rng):
    layer = Scale(np.arange(4.0))
    data = layer.w.data
    data.flags.writeable = False
    gradcheck(layer, rng.standard_normal((3, 4)))
    assert layer.w.data is data and not data.flags.writeable


# Everything is put back


class Busy(Scale):
    """Its forward changes whatever it holds."""

    shared = [0]

    def __init__(self):
        super().__init__(np.arange(1.0, 5.0))
        self.calls, self.list, self.dict, self.array, self.fixed = 0, [1, 2], {"a": 1, "b": 2}, np.zeros(2), np.ones(2)
        self.object, self.nested, self.rng = held(calls=0), [{}], np.random.default_rng(5)
        self.fixed.flags.writeable = False

    def forward(self, x):
        self.calls += 1
        self.new = self.calls
        self.list.append(1)
        self.list[0] = 7
        self.shared[0] += 1
        del self.dict["a"]
        self.dict |= {"a": 3, "c": 4}
        self.array += 1
        self.object.calls += 1
        self.nested[0][self.calls] = 1
        self.rng.uniform()
        return super().forward(x)

    def state(self):
        of_layer = (
            self.calls,
            self.list,
            self.shared,
            list(self.dict.items()),
            self.array.tolist(),
            hasattr(self, "new"),
        )
        of_others = self.object.calls, self.nested, self.rng.bit_generator.state, self.w.data.tolist()
        return repr(of_layer + of_others)


class Failing(Busy):
    def backward(self, grad_output, input_grad=True):
        self.w.data[...] = 0
        raise ZeroDivisionError


def test_everything_is_put_back(rng):
    layer = Busy()
    before = layer.state()
    gradcheck(layer, rng.standard_normal((3, 4)))
    assert layer.state() == before


def test_everything_is_put_back_after_an_error_too(rng):
    layer = Failing()
    before = layer.state()
    with pytest.raises(GradcheckError):
        gradcheck(layer, rng.standard_normal((3, 4)))
    assert layer.state() == before


def test_the_state_of_a_random_state_is_put_back():
    root = held(state=np.random.RandomState(3))
    expected = np.random.RandomState(3).uniform()
    with put_back(root):
        root.state.uniform()
    assert root.state.uniform() == expected


@pytest.mark.parametrize("holder", [collections.deque, set])
def test_items_of_other_collections_are_put_back(holder):
    root = held(items=holder([1]))
    with put_back(root):
        root.items.pop()
    assert list(root.items) == [1]


def test_arrays_and_gradients_are_the_same_ones_as_before(rng):
    layer, x = linear(rng), rng.standard_normal((3, 4))
    layer.weight.grad[...] = 7
    x_before, data, grad, values = x.copy(), layer.weight.data, layer.weight.grad, layer.weight.data.copy()
    gradcheck(layer, x)
    assert np.array_equal(x, x_before)
    assert layer.weight.data is data and np.array_equal(data, values)
    assert layer.weight.grad is grad and (grad == 7).all()


def test_other_inputs_stay_as_they_are(rng):
    x, other = rng.standard_normal((2, 3, 4))
    before = other.copy()

    def loss(x, other):
        other += 1
        return np.sum(x**2), 2 * x

    with pytest.raises(GradcheckError, match=r"forward writes to others\[0\]"):
        gradcheck(loss, x, other)
    assert np.array_equal(other, before)


def test_data_is_no_complex_array_after_a_forward_that_raises_for_one(rng):
    class Raises(Linear):
        def forward(self, x):
            if np.iscomplexobj(x):
                raise ZeroDivisionError
            return super().forward(x)

    layer = Raises(4, 4, rng=rng, dtype=np.float64)
    data = layer.weight.data
    with pytest.raises(TypeError):
        gradcheck(layer, rng.standard_normal((3, 4)), method="complex")
    assert layer.weight.data is data and data.dtype == np.float64


def test_backward_still_follows_the_forward_before_the_check(rng):
    layer, x, upstream = Sequential(Tanh()), *rng.standard_normal((2, 3, 4))
    layer(x)
    expected = layer.backward(upstream)
    gradcheck(layer, rng.standard_normal((3, 4)))
    assert np.array_equal(layer.backward(upstream), expected)


A, B, C, D, E, F, G, H = (Parameter(np.ones(4)) for _ in range(8))


def test_globals_are_found_in_the_order_of_their_use():
    def of_eight(x):
        return x * H.data * C.data * E.data * A.data * G.data * B.data * F.data * D.data

    assert list(parameters_of(of_eight)) == list("HCEAGBFD")
