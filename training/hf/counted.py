"""What a chat template is turned into before it is compiled, so that its work counts. Imports no JAX.

The calls that are put in are answered by `training.hf.sandbox.BoundedEnvironment`.
"""

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from training.hf.conventions import SPAN_BEGIN, SPAN_END


class GenerationBlocks(Extension):
    """``{% generation %} … {% endgeneration %}``: what an assistant wrote, as the template sees it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Write marks around what stands in the block."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        begin, end = (
            nodes.Output([nodes.TemplateData(mark)], lineno=line) for mark in (SPAN_BEGIN, SPAN_END)
        )
        return [begin, *body, end]


class _Counting(NodeTransformer):
    """Lets each turn of a loop count, and all that a template makes be weighed."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("tick", [], node), lineno=node.lineno))
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Output:
        self.generic_visit(node)
        size = sum(len(one.data) for one in node.nodes if isinstance(one, nodes.TemplateData))
        if size:
            node.nodes.insert(0, _call("wrote", [nodes.Const(size, lineno=node.lineno)], node))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:
        self.generic_visit(node)
        return _call("joined", node.nodes, node)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Call:
        self.generic_visit(node)
        return _call("looked", [node], node)

    def visit_List(self, node: nodes.List) -> nodes.Call:
        return self._weighed(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Call:
        return self._weighed(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        if node.ctx == "load":
            return self._weighed(node)
        self.generic_visit(node)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:
        if isinstance(node.arg, nodes.Slice):
            return self._weighed(node)
        self.generic_visit(node)
        return node

    def _weighed(self, node: nodes.Expr) -> nodes.Call:
        self.generic_visit(node)
        return _call("made", [node], node)


def counting(tree: nodes.Template) -> nodes.Template:
    """Put calls into a template that count what it does and weigh what it makes."""
    made: nodes.Template = _Counting().visit(tree)
    return made


def _call(name: str, given: list[nodes.Expr], node: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), given, [], None, None, lineno=node.lineno)
