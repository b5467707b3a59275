"""FP32 matrix products for Turing.

TensorRT-RTX compiles no FP32 matrix products for compute capability 7.5, but it does compile FP32
convolutions and sums. The mapping, the style affines and the RGB accumulation are FP32 matrix products, even
in FP16 packages. So x·Wᵀ with constant W becomes a 1×1 convolution of x as a one-pixel image, and a product
of two computed matrices becomes the sum over their elementwise product. Results are the same up to the order
of summation.
"""

from typing import TYPE_CHECKING, Any

from engines.tensorrt_api import TensorRt

if TYPE_CHECKING:
    import tensorrt as typed

SM = "sm_75"


def replace_products(api: TensorRt, network: "typed.INetworkDefinition") -> int:
    """Replace the network's FP32 matrix products, B×K · K×N and B×M×K · B×K×N; return how many were replaced.

    Products of other shapes, or that are outputs of the network, stay; TensorRT-RTX names those it refuses.
    """
    trt = api.module
    products = []
    readers: dict[str, list[tuple[Any, int]]] = {}
    for index in range(network.num_layers):
        layer: typed.ILayer = network.get_layer(index)
        for port in range(layer.num_inputs):
            tensor = layer.get_input(port)
            if tensor is not None:  # an omitted optional input
                readers.setdefault(tensor.name, []).append((layer, port))
        if layer.type == trt.LayerType.MATRIX_MULTIPLY:
            products.append(layer)
    replaced = 0
    for layer in products:
        new = _replacement(api, network, layer)
        if new is None:
            continue
        for reader, port in readers.get(layer.get_output(0).name, []):
            reader.set_input(port, new)
        replaced += 1
    return replaced


def _replacement(api: TensorRt, network: "typed.INetworkDefinition", layer: Any) -> Any:
    trt = api.module
    layer.__class__ = trt.IMatrixMultiplyLayer  # the bindings return the base class
    product: typed.IMatrixMultiplyLayer = layer
    x: typed.ITensor = product.get_input(0)
    weight: typed.ITensor = product.get_input(1)
    output: typed.ITensor = product.get_output(0)
    if output.is_network_output or x.dtype != trt.float32 or product.op0 != trt.MatrixOperation.NONE:
        return None
    ranks, transposed = (len(x.shape), len(weight.shape)), product.op1 == trt.MatrixOperation.TRANSPOSE
    if ranks == (2, 2) and min(weight.shape[0], weight.shape[1]) > 0:
        return _as_convolution(api, network, x, weight, transposed=transposed)
    if ranks == (3, 3) and min(*x.shape[1:], *weight.shape[1:]) > 0 and not transposed:
        return _as_sum(api, network, x, weight)
    return None


def _as_convolution(
    api: TensorRt, network: "typed.INetworkDefinition", x: Any, weight: Any, *, transposed: bool
) -> Any:
    trt = api.module
    n, k = tuple(weight.shape) if transposed else tuple(weight.shape)[::-1]
    pixel = _reshaped(api, network, x, (-1, k, 1, 1))
    kernel = _reshaped(api, network, weight, (n, k, 1, 1), first=None if transposed else (1, 0))
    none = trt.Weights(trt.float32)
    convolution: typed.IConvolutionLayer = network.add_convolution_nd(pixel, n, trt.Dims((1, 1)), none, none)
    convolution.set_input(1, kernel)
    return _reshaped(api, network, convolution.get_output(0), (-1, n))


def _as_sum(api: TensorRt, network: "typed.INetworkDefinition", x: Any, y: Any) -> Any:
    trt = api.module
    (m, k), n = tuple(x.shape)[1:], tuple(y.shape)[2]
    left = _reshaped(api, network, x, (-1, m, k, 1))
    right = _reshaped(api, network, y, (-1, 1, k, n))
    terms: typed.IElementWiseLayer = network.add_elementwise(left, right, trt.ElementWiseOperation.PROD)
    total: typed.IReduceLayer = network.add_reduce(
        terms.get_output(0), trt.ReduceOperation.SUM, axes=1 << 2, keep_dims=False
    )
    return total.get_output(0)


def _reshaped(
    api: TensorRt,
    network: "typed.INetworkDefinition",
    tensor: Any,
    shape: tuple[int, ...],
    first: tuple[int, ...] | None = None,
) -> Any:
    trt = api.module
    shuffle: typed.IShuffleLayer = network.add_shuffle(tensor)
    if first is not None:
        shuffle.first_transpose = trt.Permutation(first)
    shuffle.reshape_dims = trt.Dims(shape)
    return shuffle.get_output(0)
