//! Answers, held against the questions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use super::{Kind, Question};
use crate::capability::AnswerProblem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    status: Status,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Status {
    Answered,
    Declined,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: String,
    #[serde(default)]
    selected: Vec<String>,
    text: Option<String>,
}

/// Everything that does not fit.
pub(super) fn problems(questions: &[Question], answer: &Value) -> Vec<AnswerProblem> {
    let mut problems = Problems(Vec::new());
    match serde_json::from_value::<Reply>(answer.clone()) {
        Ok(reply) if reply.status == Status::Declined => {
            if !reply.answers.is_empty() {
                problems.add("/answers", "questions that are declined have no answers".to_owned());
            }
        }
        Ok(reply) => problems.judge(questions, &reply.answers),
        Err(error) => {
            let form =
                r#"{"status": "answered", "answers": [{"id": "question_1", "selected": ["…"], "text": "…"}]} or {"status": "declined"}"#;
            problems.add("", format!("{error}; an answer is {form}"));
        }
    }
    problems.0
}

/// Id of a question: its own, or one that tells its place.
fn id_of(at: usize, question: &Question) -> Cow<'_, str> {
    question.id.as_deref().map_or_else(|| format!("question_{}", at + 1).into(), Cow::from)
}

struct Problems(Vec<AnswerProblem>);

impl Problems {
    fn add(&mut self, place: impl Into<String>, problem: String) {
        self.0.push(AnswerProblem { place: place.into(), problem });
    }

    fn judge(&mut self, questions: &[Question], answers: &[Answer]) {
        let ids: Vec<Cow<'_, str>> = questions.iter().enumerate().map(|(at, question)| id_of(at, question)).collect();
        for (at, answer) in answers.iter().enumerate() {
            let place = format!("/answers/{at}");
            match ids.iter().position(|id| *id == answer.id) {
                None => {
                    self.add(format!("{place}/id"), format!("there is no question {:?}; there are {}", shown(&answer.id), ids.join(", ")));
                }
                Some(_) if answers[..at].iter().any(|earlier| earlier.id == answer.id) => {
                    self.add(format!("{place}/id"), format!("question {:?} is answered twice", answer.id));
                }
                Some(question) => self.judge_one(&place, &questions[question], answer),
            }
        }
        for id in ids.iter().filter(|id| !answers.iter().any(|answer| answer.id == ***id)) {
            self.add("/answers", format!("question {id:?} is not answered; answer all of them, or decline"));
        }
    }

    fn judge_one(&mut self, place: &str, question: &Question, answer: &Answer) {
        let labels: Vec<&str> = question.options.iter().map(|option| option.label.as_str()).collect();
        for (at, label) in answer.selected.iter().enumerate() {
            let place = format!("{place}/selected/{at}");
            if !labels.contains(&label.as_str()) {
                let options = if labels.is_empty() { "it has none".to_owned() } else { format!("there are {}", labels.join(", ")) };
                self.add(place, format!("{:?} is no option of question {:?}; {options}", shown(label), answer.id));
            } else if answer.selected[..at].contains(label) {
                self.add(place, format!("{label:?} is selected twice"));
            }
        }
        let text = answer.text.as_deref().filter(|text| !text.trim().is_empty());
        let is_free = question.kind == Kind::Text || question.allow_other;
        if text.is_some() && !is_free {
            self.add(format!("{place}/text"), format!("question {:?} takes its options only", answer.id));
        }
        let given = answer.selected.len() + usize::from(text.is_some());
        if given == 0 {
            let missing = if question.kind == Kind::Text { "send text that is not blank" } else { "select an option" };
            self.add(place, format!("question {:?} has no answer; {missing}", answer.id));
        } else if given > 1 && question.kind == Kind::Choice && !question.multi_select {
            self.add(place, format!("question {:?} takes one answer, and this has {given}", answer.id));
        }
    }
}

/// Text of whoever answers, cut for a message.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn questions() -> Vec<Question> {
        let options = json!([{ "label": "Red", "description": "r" }, { "label": "Blue", "description": "b" }]);
        let asked = json!([
            { "header": "One", "question": "One?", "options": options },
            { "header": "Many", "question": "Many?", "id": "many", "multi_select": true, "allow_other": false, "options": options },
            { "header": "Free", "question": "Free?", "kind": "text" },
        ]);
        serde_json::from_value(asked).unwrap()
    }

    fn check(answers: Value, expected: &[(&str, &str)]) {
        let reply = json!({ "status": "answered", "answers": answers });
        let found = problems(&questions(), &reply);
        let places: Vec<&str> = found.iter().map(|problem| problem.place.as_str()).collect();
        assert_eq!(places, expected.iter().map(|(place, _)| *place).collect::<Vec<_>>(), "{found:?}");
        for (found, (_, words)) in found.iter().zip(expected) {
            assert!(found.problem.contains(words), "{words:?} is not in {found:?}");
        }
    }

    #[test]
    fn all_questions_are_answered_as_they_were_asked() {
        let many = json!({ "id": "many", "selected": ["Red", "Blue"] });
        let free = json!({ "id": "question_3", "text": "Anything" });
        for one in [json!({ "selected": ["Red"] }), json!({ "text": "Green" }), json!({ "selected": ["Blue"], "text": " " })] {
            let mut one = one;
            one["id"] = json!("question_1");
            check(json!([free, one, many]), &[]);
        }
        assert_eq!(problems(&questions(), &json!({ "status": "declined" })), []);
        assert_eq!(problems(&questions(), &json!({ "status": "declined", "answers": [] })), []);
    }

    #[test]
    fn each_thing_that_does_not_fit_is_named() {
        let (one, many) = (json!({ "id": "question_1", "selected": ["Red"] }), json!({ "id": "many", "selected": ["Red"] }));
        let free = json!({ "id": "question_3", "text": "Anything" });
        check(json!([one, free]), &[("/answers", "\"many\" is not answered")]);
        let stranger = json!({ "id": "question_2", "selected": ["Red"] });
        check(json!([one, stranger, free, many]), &[("/answers/1/id", "there are question_1, many, question_3")]);
        check(json!([one, many, free, one]), &[("/answers/3/id", "twice")]);
        let wrong = json!({ "id": "question_1", "selected": ["Green"] });
        check(json!([wrong, many, free]), &[("/answers/0/selected/0", "there are Red, Blue")]);
        let both = json!({ "id": "question_1", "selected": ["Red", "Blue"] });
        check(json!([both, many, free]), &[("/answers/0", "takes one answer, and this has 2")]);
        let doubled = json!({ "id": "many", "selected": ["Red", "Red"] });
        check(json!([one, doubled, free]), &[("/answers/1/selected/1", "twice")]);
        let other = json!({ "id": "many", "selected": ["Red"], "text": "Green" });
        check(json!([one, other, free]), &[("/answers/1/text", "its options only")]);
        let blank = json!({ "id": "question_3", "text": "  " });
        check(json!([one, many, blank]), &[("/answers/2", "not blank")]);
        let nothing = json!({ "id": "question_1" });
        check(json!([nothing, many, free]), &[("/answers/0", "select an option")]);
        let optional = json!({ "id": "question_3", "selected": ["Red"] });
        check(json!([one, many, optional]), &[("/answers/2/selected/0", "it has none")]);
    }

    #[test]
    fn what_is_no_answer_tells_the_form_of_one() {
        for wrong in [json!("Blue"), json!({}), json!({ "status": "maybe" }), json!({ "status": "answered", "answer": [] })] {
            let [problem] = problems(&questions(), &wrong).try_into().unwrap();
            assert!(problem.place.is_empty() && problem.problem.contains("\"declined\""), "{problem:?}");
        }
        let both = json!({ "status": "declined", "answers": [{ "id": "question_1", "text": "x" }] });
        assert_eq!(problems(&questions(), &both).len(), 1);
    }
}
