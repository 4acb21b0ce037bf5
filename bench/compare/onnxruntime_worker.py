"""The worker of ONNX Runtime: a model of one node, forward only."""
import os

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import worker

# Gates: PyTorch's i,f,g,o and r,z,n are ONNX's i,o,f,c and z,r,h.
ORDERS = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2], "rnn": [0]}


def model_of(problem):
    order = ORDERS[problem.op]

    def reordered(name):
        parts = np.split(problem.input(name), len(order))
        return np.concatenate([parts[gate] for gate in order])

    biases = np.concatenate([reordered("b_ih"), reordered("b_hh")])
    weights = {"W": reordered("w_ih"), "R": reordered("w_hh"), "B": biases}
    outputs = ["Y", "Y_h"] + (["Y_c"] if problem.op == "lstm" else [])
    options = {"linear_before_reset": 1} if problem.op == "gru" else {}
    node = helper.make_node(problem.op.upper(), ["X", "W", "R", "B"], outputs,
                            hidden_size=problem.H, **options)
    real = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "layer",
        [helper.make_tensor_value_info("X", real, [problem.T, problem.N, problem.I])],
        [helper.make_tensor_value_info(name, real, None) for name in outputs],
        [numpy_helper.from_array(value[None], name) for name, value in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def prepare(problem):
    if problem.step or problem.op not in ORDERS or problem.has("lengths"):
        raise ValueError("forward passes of recurrent layers only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_of(problem).SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    x = {"X": problem.input("x")}

    def results():
        y, *last = session.run(None, x)
        return {"y": y[:, 0], **dict(zip(("h_n", "c_n"), (state[0] for state in last)))}

    return (lambda: session.run(None, x)), results


worker.serve("onnxruntime", onnxruntime.__version__, prepare)
